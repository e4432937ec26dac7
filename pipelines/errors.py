"""What a person reads when something is wrong: one line, and an exit status that says whose turn it is.

Everything that this package raises on purpose is a `PipelineError`. Whatever else escapes is a defect.
"""


class PipelineError(Exception):
    """The base of every error raised on purpose; `str(error)` is what the person at the keyboard reads."""

    exit_status = 1


class InputError(PipelineError, ValueError):
    """A mistake in what was given: a recipe, an option, a missing file. Nothing was started."""

    exit_status = 2


class StepError(PipelineError, RuntimeError):
    """A failure on the way: a step ended badly, a disk was full, a package could not be had."""

    exit_status = 1
