"""Class scores: probabilities, full size, long photos, photos without people. Arrays in, arrays out."""
