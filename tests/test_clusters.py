"""The hosts of the tests: they reach each other, and nothing else; nothing is left of them."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clusters import make_hosts

SERVE = """
import socket
listener = socket.create_server(("10.77.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, (address, _) = listener.accept()
connection.sendall(f"{socket.gethostname()} {address}".encode())
"""
CALL = """
import socket, sys
print(socket.create_connection(("10.77.0.1", int(sys.argv[1])), 20).recv(100).decode())
"""


def test_hosts_reach_each_other_and_nothing_is_left() -> None:
    with make_hosts(2) as hosts:
        keepers = [host.keeper.pid for host in hosts]
        with hosts[0].start(sys.executable, "-c", SERVE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            called = hosts[1].run(sys.executable, "-c", CALL, port, capture_output=True, text=True)
        assert called.stdout == "node-0 10.77.0.2\n"
        left = hosts[1].start("sh", "-c", "echo started; exec sleep infinity", start_new_session=True, stdout=subprocess.PIPE)
        assert left.stdout is not None and left.stdout.readline() == b"started\n"
        assert hosts[1].processes() == [left.pid]
        with pytest.raises(OSError):
            socket.create_connection(("10.77.0.1", int(port)), 0.2).close()
        hosts[1].disconnect()
        ping = "import socket; socket.create_connection(('10.77.0.1', 1), 0.2)"
        assert b"unreachable" in hosts[1].start(sys.executable, "-c", ping, stderr=subprocess.PIPE).communicate()[1]
    assert left.wait() == -9
    left.stdout.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in keepers)
