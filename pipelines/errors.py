"""The errors that this package raises on purpose: one line for the user, and an exit status.

Any other exception that reaches the command line is a bug.
"""


class PipelineError(Exception):
    """The base of every error raised on purpose; `str(error)` is printed."""

    exit_status = 1


class InputError(PipelineError, ValueError):
    """A mistake in the input: a recipe, an option, a missing file. Nothing was started."""

    exit_status = 2


class StepError(PipelineError, RuntimeError):
    """A failure at run time: a failed step, a full disk, a package that cannot be downloaded."""

    exit_status = 1
