"""Accuracy and speed of parsers, and the paper's tables and figures."""
