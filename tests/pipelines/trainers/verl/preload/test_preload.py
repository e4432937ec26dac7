"""The client runs its arguments as Python does, in a process that its server has forked. No package of a trainer is needed."""

from __future__ import annotations

import gc
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.trainers.verl.preload import client, client_command, server

_SHOW = """
import json, os, sys
parent = open(f"/proc/{os.getppid()}/cmdline").read().split("\\0")
print(json.dumps([sys.argv, os.getcwd(), os.environ.get("WORD"), sys.path[0], "preload.server" in " ".join(parent), __name__]))
"""
_CLIENT = shlex.split(client_command(Path(sys.executable)))


@pytest.fixture
def raylet(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A shell as the raylet: its first client starts the server, which ends with it."""
    (tmp_path / "show.py").write_text(_SHOW)
    with subprocess.Popen(
        ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=_variables()
    ) as shell:
        yield shell
        servers = _servers(shell)
        shell.kill()
        shell.communicate()
        _, alive = psutil.wait_procs(servers, timeout=60)
        assert not alive, "the server ends with its raylet"


def _variables() -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if name != client.SOCKET}, "RAY_JOB_ID": "01"}


def _servers(shell: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the servers in the shell's folder: they are without a parent after their client has ended."""
    folder = Path(f"/proc/{shell.pid}/cwd").resolve()
    found = []
    for each in psutil.process_iter():
        try:
            if "pipelines.trainers.verl.preload.server" in each.cmdline() and Path(each.cwd()) == folder:
                found.append(each)
        except psutil.Error:
            continue
    return found


def _ask(shell: subprocess.Popen[str], *arguments: str) -> str:
    """Run the client in the shell; return a line of its output."""
    assert shell.stdin is not None and shell.stdout is not None
    shell.stdin.write(shlex.join([*_CLIENT, *arguments]) + "; echo status $?\n")
    shell.stdin.flush()
    lines = iter(shell.stdout.readline, "")
    output = ""
    for line in lines:
        if line.startswith("status "):
            return output + line.split()[1]
        output += line
    raise AssertionError(output)


def _option(folder: Path) -> str:
    return f"--raylet-name={folder / 'raylet'}"


def test_a_file_runs_in_a_forked_process(raylet: subprocess.Popen[str], tmp_path: Path) -> None:
    option = _option(tmp_path)
    for word in ("one", "two"):
        assert raylet.stdin is not None
        raylet.stdin.write(f"export WORD={word}\n")
        line, status = _ask(raylet, str(tmp_path / "show.py"), option).splitlines()
        argv = [str(tmp_path / "show.py"), option]
        assert json.loads(line) == [argv, str(tmp_path), word, str(tmp_path), True, "__main__"]
        assert status == "0"
    assert len(_servers(raylet)) == 1


def test_code_gets_the_files_of_its_client(raylet: subprocess.Popen[str], tmp_path: Path) -> None:
    """As multiprocessing starts a process: options, `-c CODE`, and files by their numbers."""
    code = "import os, sys; os.write(7, b'written'); print(sys.argv[1:], sys.stdin.read())"
    command = shlex.join([*_CLIENT, "-X", "utf8", "-B", "-c", code, _option(tmp_path)])
    assert _ask(raylet, "-c", "pass", _option(tmp_path)) == "0"  # starts the server
    done = subprocess.run(
        ["bash", "-c", f"{command} 7> file"], cwd=tmp_path, input="read", capture_output=True, text=True, env=_variables()
    )
    assert (done.stdout, done.stderr) == (f"{[_option(tmp_path)]} read\n", "")
    assert (tmp_path / "file").read_text() == "written"


def test_it_is_in_the_process_group_of_its_client(raylet: subprocess.Popen[str], tmp_path: Path) -> None:
    """Ray kills the group of a worker that ends, which must be neither the server's nor another worker's."""
    code = "import os; print(os.getpgid(0))"
    assert _ask(raylet, "-c", "pass", _option(tmp_path)) == "0"
    command = [*_CLIENT, "-c", code, _option(tmp_path)]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=_variables(), process_group=0
    ) as started:
        assert started.communicate()[0] == f"{started.pid}\n"


def test_a_killed_client_takes_its_process_with_it(raylet: subprocess.Popen[str], tmp_path: Path) -> None:
    assert _ask(raylet, "-c", "pass", _option(tmp_path)) == "0"
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with subprocess.Popen(
        [*_CLIENT, "-c", code, _option(tmp_path)], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=_variables()
    ) as started:
        assert started.stdout is not None
        forked = psutil.Process(int(started.stdout.readline()))
        started.kill()
        assert not psutil.wait_procs([forked], timeout=60)[1]


@pytest.mark.parametrize(("code", "status"), [("exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 128 + signal.SIGKILL)])
def test_the_status_is_passed_on(raylet: subprocess.Popen[str], tmp_path: Path, code: str, status: int) -> None:
    assert _ask(raylet, "-B", "-c", code, _option(tmp_path)) == str(status)


def test_without_a_server_it_is_python(tmp_path: Path) -> None:
    """There is no raylet, or none that answers: the path is too long, or its server was killed."""
    for argument in ("x", f"--raylet-name={tmp_path / ('long' * 30)}"):
        done = subprocess.run([*_CLIENT, "-c", _SHOW, argument], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == [["-c", argument], str(tmp_path), None, "", False, "__main__"]


def test_a_server_that_nobody_asks_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The raylet of a cluster outlives the job."""
    monkeypatch.setattr(server, "_IDLE_SECONDS", 0.05)
    path, watched = tmp_path / "socket", os.pidfd_open(os.getpid())
    listening = client.listen(str(path))
    assert listening is not None and path.exists()
    try:
        assert server._serve(listening, watched) is None
        assert not path.exists(), "the next client starts another"
    finally:
        gc.unfreeze()
        os.close(watched)
        listening.close()
