"""What can be wrong with a row or a reward, told in one line."""

from __future__ import annotations


class GroundTruthError(ValueError):
    """A row without what its reward needs, or with a ground truth of another form."""


class RewardError(ValueError):
    """A reward that does not exist, does not load, has no such option, or failed on more rows than it may."""


class MissingModuleError(RewardError):
    """A reward needs a package that this Python does not have; another Python may."""
