"""A failed command becomes one line."""

import os
import sys
from pathlib import Path

import pytest

from pipelines.environments.build_command import find_reason, run
from pipelines.errors import StepError

UV = [
    "Resolved 3 packages in 10ms\n",
    "error: Failed to fetch: `torch`\n",
    "  Caused by: dns error\n",
    "  Caused by: Name or service not known\n",
    "\n",
    "hint: try again\n",
]
UV_BOX = [
    "  \N{MULTIPLICATION SIGN} No solution found when resolving dependencies:\n",
    "  ╰─▶ Because x was not found in the\n",
    "      package registry, it cannot be.\n",
]
PIP = [
    "Looking in links: /wheels\n",
    "ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)\n",
    "ERROR: No matching distribution found for x==1\n",
]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (UV, "Failed to fetch: `torch`: dns error: Name or service not known"),
        (
            UV_BOX,
            "No solution found when resolving dependencies: Because x was not found in the package registry, it cannot be.",
        ),
        (PIP, "No matching distribution found for x==1"),
    ],
)
def test_the_last_error_becomes_one_line_without_hints(lines: list[str], reason: str) -> None:
    assert find_reason(lines) == reason


def test_a_long_reason_is_cut() -> None:
    assert len(find_reason(["error: " + "word " * 1000])) <= 400


def test_a_failed_command_names_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    seen: list[str] = []
    code = "import sys; print('going', flush=True); sys.exit('error: no room')"
    with pytest.raises(StepError) as raised:
        run([sys.executable, "-c", code], log=log, variables=os.environ, what="cannot install", watch=seen.append)
    assert str(raised.value) == f"cannot install: no room (full log: {log})"
    assert "going" in seen
    assert "going\n" in log.read_text()


def test_a_missing_command_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="x: /no/such/uv cannot be started: No such file or directory"):
        run(["/no/such/uv"], log=tmp_path / "log", variables={}, what="x")


def test_an_interrupted_command_ends_with_its_workers(tmp_path: Path) -> None:
    """A worker that outlives its command would keep the lock, for which every later sync waits."""
    reading, writing = os.pipe()
    code = (
        "import subprocess, time; subprocess.Popen(['sleep', '900'], close_fds=False); print('up', flush=True); time.sleep(900)"
    )

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(
            [sys.executable, "-c", code],
            log=tmp_path / "log",
            variables=os.environ,
            what="x",
            lock=writing,
            watch=interrupt,
        )
    os.close(writing)
    assert os.read(reading, 1) == b"", "no process has the descriptor"
    os.close(reading)
