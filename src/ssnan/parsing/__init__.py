"""From a photo to its result: models, engines, the parser, and many files or videos. Nothing here imports torch."""
