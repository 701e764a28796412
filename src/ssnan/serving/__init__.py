"""The web page and the HTTP service; they need the extra ``serve``."""
