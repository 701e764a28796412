#!/usr/bin/env bash
# Train on two nodes with four GPUs each; options of ssnan train may follow the recipe:
#   sbatch deploy/slurm.sh lip/ss_nan --data.batch_size 32 --trainer.accumulate_grad_batches 1
# Each GPU gets one task; Lightning reads the rest from SLURM. A requeued job continues after the last finished epoch.
# The batch size is for all GPUs together, and must be a multiple of their number.
#SBATCH --job-name=ssnan
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
set -euo pipefail
recipe=${1:?the name of a recipe, such as lip/ss_nan}
srun ssnan train --config "$recipe" \
  --trainer.num_nodes "$SLURM_JOB_NUM_NODES" --trainer.devices "$SLURM_NTASKS_PER_NODE" --trainer.strategy ddp \
  --trainer.sync_batchnorm true --trainer.enable_progress_bar false "${@:2}"
