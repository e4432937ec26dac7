"""A campaign against the local sandbox: hostile attempts, and right programs that must not be marked wrong."""
