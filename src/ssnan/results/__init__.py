"""Results, and what they turn into: images, JSON, files, people, other labels."""
