#!/usr/bin/env bash
# The ablation of docs/results.md. Usage: tools/ablation.sh [SEED ...]   (0 1 2)
# Seeds come outermost, so that an interrupted ablation still compares like with like; finished runs
# are kept and an interrupted one continues where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=runs/ablation

train() { # name, seed, overlay configs...
  local name=$1 seed=$2 output=$runs/$1/seed$2
  shift 2
  [ -f "$output/results.json" ] && return
  local arguments=()
  for overlay in "$@"; do arguments+=(--config "configs/ablation/$overlay.yaml"); done
  ssnan train --config configs/ablation/base.yaml "${arguments[@]}" --output "$output" \
    --seed_everything "$seed" --data.seed "$seed" ${start:+--model.start_from "$start"} \
    --trainer.enable_progress_bar false
}

for seed in "${@:-0 1 2}"; do for seed in $seed; do
  start=
  for name in single_scale average maximum neural shared no_deep_supervision; do train $name "$seed" $name; done
  start=$runs/neural/seed$seed/checkpoints/best.ckpt
  for form in none weighted weighted_detached product product_detached; do
    train step2_$form "$seed" neural step2 step2_$form
  done
done; done
