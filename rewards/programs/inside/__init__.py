"""What runs inside the child process, beside the program nobody trusts. Nothing here is imported by the rest."""
