"""Errors that end one test, or all of them, and that a test cannot catch as an Exception."""


class Gone(BaseException):
    """The candidate's process ended or sent an invalid message."""


class Unsupported(BaseException):
    """A test needs a feature that this runner does not have."""
