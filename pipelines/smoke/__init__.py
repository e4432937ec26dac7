"""`--smoke`: the same recipe at tiny size, for two CPU cores and a few minutes.

Other rooms use `print_changes` and `print_passed` (`summary`).
"""
