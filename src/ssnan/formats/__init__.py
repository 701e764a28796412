"""Results in the forms of other tools; the extra ``formats`` installs the libraries that do the encoding."""
