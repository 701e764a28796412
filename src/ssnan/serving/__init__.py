"""The page and the HTTP service; the extra ``serve`` installs what they need."""
