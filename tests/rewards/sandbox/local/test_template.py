"""The end of the template."""

from __future__ import annotations

import socket

from rewards.sandbox.local.inside.template import _Template


def test_a_signal_while_it_ends_is_ignored() -> None:
    """The handler may interrupt itself: each thread of a client that is killed may send the signal."""
    control, other = socket.socketpair()
    template = _Template({"mode": "namespaces"}, control)
    assert template._ending.acquire(blocking=False)
    template.stop()
    control.close()
    other.close()
