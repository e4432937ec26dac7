"""A number."""

NUMBER = 7
