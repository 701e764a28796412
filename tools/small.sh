#!/usr/bin/env bash
# Every system of the paper on the same photographs. Usage: tools/small.sh [SEED ...]   (0 1)
# Seeds come outermost, so that an interrupted comparison still compares like with like; finished runs
# are kept, and an interrupted one continues where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=runs/small

train() { # name, seed, arguments...
  local output=$runs/$1/seed$2 seed=$2
  shift 2
  if [ -f "$output/results.json" ]; then return; fi
  ssnan train "$@" --output "$output" --seed_everything "$seed" --data.seed "$seed" \
    --trainer.enable_progress_bar false
}

if [ $# -eq 0 ]; then set -- 0 1; fi
for seed in "$@"; do
  for system in segnet fcn_8s deeplab_v2 attention hazn lg_lstm skip_net average maximum ss_nan; do
    train $system "$seed" --config small/$system
  done
  for system in attention ss_nan; do
    train ${system}_step1 "$seed" --config small/$system --config small/step1
  done
  train attention_ssl "$seed" --config small/attention_ssl \
    --model.start_from $runs/attention_step1/seed"$seed"/checkpoints/best.ckpt
  train ss_nan_step2_none "$seed" --config small/ss_nan --config small/ss_nan_step2 --model.joint_form none \
    --model.start_from $runs/ss_nan_step1/seed"$seed"/checkpoints/best.ckpt
  train ss_nan_step2 "$seed" --config small/ss_nan --config small/ss_nan_step2 \
    --model.start_from $runs/ss_nan_step1/seed"$seed"/checkpoints/best.ckpt
done
