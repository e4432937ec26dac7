"""Run programs, and the calls of a session, in a sandbox that root or an ordinary user has opened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import ROOT
from tests.rewards.sandbox.public import find_public_python

_RUN = """
import asyncio, json, os, sys
folder, user, kind, given = sys.argv[1], int(sys.argv[2]), sys.argv[3], json.load(open(sys.argv[4]))
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
limits = Limits(cpu_seconds=20, wall_seconds=300)

async def talk():
    session = await sandbox.open_session()
    ended = [await session.run(each, limits) for each in given["calls"]]
    await session.close()
    return ended

programs = [Program(each, given["stdin"]) for each in given["programs"]]
ran = asyncio.run(sandbox.run_many(programs, limits)), asyncio.run(talk())
sandbox.close()
print(json.dumps([[each.output or f"{each.verdict}: {each.error}" for each in kind] for kind in ran]))
"""


def run_as(
    user: int, kind: str, programs: Mapping[str, str], calls: Mapping[str, str], public_folder: Path, stdin: str = ""
) -> tuple[dict[str, str], dict[str, str]]:
    """Run programs, and calls in one session.

    Args:
        user: 0 for this process's user, else another one.
        kind: The kind of isolation; the test is skipped on a machine that does not offer it.
        public_folder: From `public_copy`.

    Returns:
        The standard output of each program and call by name, or how it ended if it printed nothing.
    """
    if user and os.getuid() != 0:
        pytest.skip("only root can become another user")
    written = public_folder / f"given-{kind}-{user}.json"
    written.write_text(json.dumps({"programs": [*programs.values()], "calls": [*calls.values()], "stdin": stdin}))
    written.chmod(0o644)
    python = find_public_python() if user else sys.executable
    environment = {"PYTHONPATH": str(public_folder), "PATH": "/usr/bin:/bin"}
    command = [python, "-c", _RUN, str(public_folder if user else ROOT), str(user), kind, str(written)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    if "missing" in found:
        pytest.skip(f"this machine has no {kind}: {found['missing']}")
    return dict(zip(programs, found[0], strict=True)), dict(zip(calls, found[1], strict=True))
