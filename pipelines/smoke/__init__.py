"""`--smoke`: any recipe as the same recipe, tiny; for two CPU cores and a few minutes."""

from pipelines.smoke.shrinking import Smoke, shrink

__all__ = ["Smoke", "shrink"]
