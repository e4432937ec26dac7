"""`--smoke`: the same recipe at tiny size, for two CPU cores and a few minutes.

Other rooms use `print_changes` and `print_passed` (`summary`), and `shrink` and `Smoke` (re-exported here).
"""

from pipelines.smoke.shrinking import Smoke, shrink

__all__ = ["Smoke", "shrink"]
