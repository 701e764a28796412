"""From a checkpoint to files that engines run."""
