"""Every attempt is refused: in both isolations, as root and as an ordinary user, in programs and in sessions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rewards.sandbox.campaign.as_user import run_as
from tests.rewards.sandbox.campaign.attempts import SYSTEM_CALLS, make_attempts, resolve

WRAPPED = """
try:
{}
except (Exception, SystemExit):
    print("refused")
else:
    print("ALLOWED")
"""
# These find what an earlier call of the session has left, rightly.
NOT_IN_SESSIONS = ("something in the folder",)


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the same user as the sandbox's client."""
    process = subprocess.Popen([sys.executable, "-c", "import time\nwhile True: time.sleep(0.1)"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("kind", ["namespaces", "landlock"])
@pytest.mark.parametrize("user", [0, 4321])
def test_every_attempt_is_refused(kind: str, user: int, public_folder: Path, victim: subprocess.Popen[bytes]) -> None:
    private = public_folder / "victims"
    private.mkdir(exist_ok=True)
    file = private / "file"
    file.write_text("kept")
    if os.getuid() == 0:
        for path in (private, file):
            os.chown(path, user, user)
    before = [(path.stat().st_mode, path.stat().st_mtime_ns, path.stat().st_uid) for path in (private, file)]
    values = {"victim": victim.pid, "file": str(file), "folder": str(private), "clone": resolve("clone")}
    attempts = {}
    # In a session there are the channel to the worker and, where it cannot fork, the one for the report.
    used = 4 if kind == "namespaces" else 5
    for mode, first, names in (("program", 3, ("main.py",)), ("session", used, tuple(f"call {n}" for n in range(1, 1000)))):
        made = make_attempts({**values, "first": first, "names": names})
        wrapped = {name: WRAPPED.format("".join(f"    {line}\n" for line in code.splitlines())) for name, code in made.items()}
        attempts[mode] = {name: code for name, code in wrapped.items() if mode == "program" or name not in NOT_IN_SESSIONS}
    for found in run_as(user, kind, attempts["program"], attempts["session"], public_folder):
        assert {name: output for name, output in found.items() if output != "refused\n"} == {}
    assert [(path.stat().st_mode, path.stat().st_mtime_ns, path.stat().st_uid) for path in (private, file)] == before
    assert file.read_text() == "kept"
    assert victim.poll() is None


def test_there_are_many_attempts() -> None:
    values = {"victim": 1, "file": "f", "folder": "d", "clone": 56, "names": (), "first": 3}
    assert len(make_attempts(values)) >= 150
    assert len(SYSTEM_CALLS) > 80


def test_attempts_succeed_outside(tmp_path: Path) -> None:
    """The test above can fail: outside the sandbox these attempts succeed."""
    (tmp_path / "file").write_text("x")
    values = {"victim": os.getpid(), "file": str(tmp_path / "file"), "folder": str(tmp_path), "clone": 56}
    made = make_attempts({**values, "names": ("<string>",), "first": 0})
    names = [
        *("permissions of the victim's file", "times of the victim's file", "reading the victim's file", "a unix socket"),
        *("a pair of datagram sockets", "the victim's environment", "reading the victim's limits", "memory without a name"),
        *("listing the victim's folder", "a signal through a file's owner", "an open file besides the streams"),
    ]
    for name in names:
        code = WRAPPED.format("".join(f"    {line}\n" for line in made[name].splitlines()))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
        assert done.stdout == "ALLOWED\n", name
