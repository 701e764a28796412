"""Tiny datasets in the published layouts, and models small enough for a test."""
