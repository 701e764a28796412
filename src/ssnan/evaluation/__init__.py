"""How good a parser is and how fast, and the paper's tables and figures."""
