"""Results in the files of other programs: datasets, annotation tools, painting programs."""
