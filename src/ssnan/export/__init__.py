"""Export checkpoints to the files of engines."""
