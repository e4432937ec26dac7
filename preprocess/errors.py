"""Errors of data preparation. Exit status 2 is a mistake in the input, 1 a failure of the machine."""


class PrepareError(Exception):
    """The base class; `str(error)` is one line for the user."""

    exit_status = 1


class SourceError(PrepareError, ValueError):
    """A mistake in the input: a missing file, or a converter, column or option that does not exist."""

    exit_status = 2


class MissingPackageError(SourceError):
    """A converter's file imports a package that this Python does not have."""


class RowError(ValueError):
    """A record cannot be converted; `str(error)` is its reason in the rejects file."""


class LeftOutError(RowError):
    """An option excludes the record: it is not a failure, but it is counted and kept in the rejects file."""
