"""The errors that this package raises on purpose: one line for the user, and an exit status.

Any other exception that reaches the command line is a bug.
"""

import errno
import signal


class PipelineError(Exception):
    """The base of every error raised on purpose; `str(error)` is printed."""

    exit_status = 1


class InputError(PipelineError, ValueError):
    """A mistake in the input: a recipe, an option, a missing file. Nothing was started."""

    exit_status = 2


class SettingError(InputError):
    """A value of a recipe that is found to be wrong when the recipe is rendered."""

    def __init__(self, loc: tuple[str, ...], message: str) -> None:
        """Store the location of the value, stages by name: `("stages", "sft", "epochs")`."""
        self.loc, self.message = loc, message
        super().__init__(f"stage {loc[1]}: {message}" if loc[0] == "stages" else message)


class StepError(PipelineError, RuntimeError):
    """A failure at run time: a failed step, a full disk, a package that cannot be downloaded."""

    exit_status = 1


class AccessError(StepError):
    """A file or folder that this user may not read or write."""

    exit_status = 2


class Stopped(BaseException):
    """A signal stopped the run. Not an Exception, so that no handler on the way swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def file_error(message: str, cause: OSError) -> StepError:
    """Return the error of a file that could not be read or written."""
    kind = AccessError if cause.errno in (errno.EACCES, errno.EPERM, errno.EROFS) else StepError
    return kind(message)
