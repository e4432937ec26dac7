"""A word."""

WORD = "ü"
