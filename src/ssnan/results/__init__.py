"""Results, and what they turn into: pictures, JSON, files, people, other labels."""
