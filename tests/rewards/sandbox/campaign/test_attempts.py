"""Every attempt is refused: in both isolations, as root and as an ordinary user, in programs and in sessions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.rewards.sandbox.campaign.attempts import SYSTEM_CALLS, make_attempts, resolve
from tests.rewards.sandbox.public import find_public_python, public_copy

RUN = """
import asyncio, json, os, sys
folder, user, kind, attempts = sys.argv[1], int(sys.argv[2]), sys.argv[3], json.load(open(sys.argv[4]))
if user:
    os.setgroups([]); os.setresgid(user, user, user); os.setresuid(user, user, user)
sys.path.insert(0, folder)
from rewards.sandbox import Limits, Program, SandboxError
from rewards.sandbox.local import LocalSandbox
sandbox = LocalSandbox(workers=2, kind=kind)
try:
    sandbox.run_blocking(Program(""))
except SandboxError as error:
    print(json.dumps({"missing": str(error)}))
    sys.exit()
limits = Limits(cpu_seconds=10, wall_seconds=300)

async def talk():
    session = await sandbox.open_session()
    ended = [await session.run(each, limits) for each in attempts["session"].values()]
    await session.close()
    return ended

ran = asyncio.run(sandbox.run_many([Program(each) for each in attempts["program"].values()], limits)), asyncio.run(talk())
sandbox.close()
print(json.dumps([[each.output or f"{each.verdict}: {each.error}" for each in kind] for kind in ran]))
"""
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


@pytest.fixture(scope="module")
def public_folder() -> Iterator[Path]:
    with public_copy() as folder:
        yield folder


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
    if user and os.getuid() != 0:
        pytest.skip("only root can become another user")
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
    written = public_folder / f"attempts-{kind}-{user}.json"
    written.write_text(json.dumps(attempts))
    python = find_public_python() if user else sys.executable
    environment = {"PYTHONPATH": str(public_folder), "PATH": "/usr/bin:/bin"}
    command = [python, "-c", RUN, str(public_folder if user else ROOT), str(user), kind, str(written)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if "missing" in found:
        pytest.skip(f"this machine has no {kind}: {found['missing']}")
    for mode, outputs in zip(attempts, found, strict=True):
        allowed = {name: output for name, output in zip(attempts[mode], outputs, strict=True) if output != "refused\n"}
        assert allowed == {}, mode
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
