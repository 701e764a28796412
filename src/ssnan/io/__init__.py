"""Read and write files: photos, label maps, saved results, lists."""
