"""Models as the Hugging Face hub keeps them: a folder of files, a name for it, a page about it."""
