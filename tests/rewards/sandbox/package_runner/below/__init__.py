"""A folder below."""
