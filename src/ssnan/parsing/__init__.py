"""A picture in, a result out: everything between a file and its map of parts. No torch."""
