#!/usr/bin/env bash
# The ablation of docs/results.md. Usage: tools/ablation.sh [SEED ...]   (0 1 2)
# Seeds come outermost, so that an interrupted ablation still compares like with like; finished runs
# are kept, and an interrupted one continues where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=runs/ablation

train() { # name, seed, start or "", configs...
  local output=$runs/$1/seed$2 start=$3 seed=$2 arguments=()
  shift 3
  if [ -f "$output/results.json" ]; then return; fi
  for config in "$@"; do arguments+=(--config "$config"); done
  if [ -n "$start" ]; then arguments+=(--model.start_from "$start"); fi
  ssnan train "${arguments[@]}" --output "$output" --seed_everything "$seed" --data.seed "$seed" \
    --trainer.enable_progress_bar false
}

step2() { # seed, forms of the joint loss...
  local seed=$1
  shift
  for form in "$@"; do
    train step2_$form "$seed" $runs/ss_nan/seed"$seed"/checkpoints/best.ckpt \
      small/ss_nan ablation/step2 ablation/step2_$form
  done
}

if [ $# -eq 0 ]; then set -- 0 1 2; fi
for seed in "$@"; do
  for system in skip_net average maximum ss_nan; do train $system "$seed" "" small/$system; done
  step2 "$seed" none weighted_10 weighted_100
  for option in no_deep_supervision shared probabilities; do
    train $option "$seed" "" small/ss_nan ablation/$option
  done
  # The sum of four losses has four times a single one's gradient at the start: what of the gain is that?
  train skip_net_faster "$seed" "" small/skip_net ablation/faster
  train no_deep_supervision_faster "$seed" "" small/ss_nan ablation/no_deep_supervision ablation/faster
  train ss_nan_slower "$seed" "" small/ss_nan ablation/slower
  step2 "$seed" weighted_detached product product_detached
  for change in faster finer; do
    for form in none weighted_10; do
      train step2_${form}_$change "$seed" $runs/ss_nan/seed"$seed"/checkpoints/best.ckpt \
        small/ss_nan ablation/step2 ablation/step2_$form ablation/step2_$change
    done
  done
done
