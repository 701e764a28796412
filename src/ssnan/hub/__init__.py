"""Models on the Hugging Face hub: download, upload and README."""
