"""`pipeline rewards`: list, try and check rewards. `app` (commands) declares the commands."""
