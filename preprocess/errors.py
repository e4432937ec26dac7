"""What goes wrong while rows are made. The exit status says whose turn it is: 2 the input's, 1 the machine's."""


class PrepareError(Exception):
    """The base; `str(error)` is the one line a person reads."""

    exit_status = 1


class SourceError(PrepareError, ValueError):
    """A mistake in what was given: a file that is not there, a converter, column or option that does not exist."""

    exit_status = 2


class RowError(ValueError):
    """One row cannot be converted; `str(error)` is the reason that the rejects file gives."""


class LeftOutError(RowError):
    """An option leaves the record out: not a failure, but counted and kept in the rejects file like one."""
