"""From a photo to its label map. Nothing here imports torch."""
