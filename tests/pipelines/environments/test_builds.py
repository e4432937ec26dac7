"""Builds side by side: a step waits for its own only, a failure ends the others, nothing is left running."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from pipelines.environments import Environment, pinned_environment, uv
from pipelines.environments.build_command import Commands, EndedError, run
from pipelines.environments.builds import Builds
from pipelines.errors import StepError
from tests.pipelines.environments.toy import Toy
from tests.waiting import wait_until

SYNC = "pipelines.environments.builds.bring_up_to_date"


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Environment, Environment]:
    """Return two environments that are not built, of two projects."""
    toys = Toy(tmp_path / "one", "llamafactory"), Toy(tmp_path / "two", "verl")
    for name in [each for each in os.environ if each.startswith(("PIP_", "UV_", "PIPELINE_"))]:
        monkeypatch.delenv(name)
    first, second = toys
    for name, value in first.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(uv, "read_pip_settings", lambda: json.loads(os.environ["TOY_SETTINGS"]))
    # Both get their files from the first one's folder.
    for name in ("pin.toml", "cpu.txt"):
        (second.trainer / name).write_text((first.trainer / name).read_text())
    for toy in toys:
        toy.directory.parent.mkdir()
    return pinned_environment("llamafactory", "cpu", first.root), pinned_environment("verl", "cpu", second.root)


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended may still be waited for."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@contextmanager
def held(environment: Environment) -> Iterator[None]:
    """Hold the lock of an environment, so that its build waits."""
    with (environment.directory.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_one_is_ready_while_the_other_is_still_built(two: tuple[Environment, Environment]) -> None:
    first, second = two
    with ExitStack() as lock:
        lock.enter_context(held(second))
        with Builds(two, later=["verl"]) as builds:
            builds.wait(["llamafactory"])
            assert first.is_ready()
            assert builds.running(["llamafactory", "verl"]) == ["verl"]
            lock.close()
            builds.wait_all()
    assert second.is_ready()
    with Builds(two) as builds:
        assert "verl" not in builds
        builds.wait_all()


def test_leaving_early_ends_a_build_that_waits_for_a_lock(two: tuple[Environment, Environment]) -> None:
    with held(two[1]), Builds([two[1]]) as builds:
        assert builds.running(["verl"]) == ["verl"]
    assert not two[1].is_ready()


def test_a_failed_build_ends_the_wait_for_another(
    two: tuple[Environment, Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait is for an environment whose build would take minutes; its command is ended, with its descendants."""
    started = threading.Event()

    def build(built: Environment, source: object, phases: object, commands: Commands) -> None:
        if built.pin.trainer == "llamafactory":
            started.wait()
            raise StepError("llamafactory cpu: no room")
        log = built.directory.parent / "log"
        argv = ["sh", "-c", "sleep 900 & echo $!; wait"]
        run(
            argv,
            log=log,
            variables=os.environ,
            what="x",
            commands=commands,
            watch=watch,
        )

    ended: list[str] = []

    def watch(line: str) -> None:
        ended.append(line)
        started.set()

    monkeypatch.setattr(SYNC, build)
    with pytest.raises(StepError, match=r"^llamafactory cpu: no room$"), Builds(two) as builds:
        builds.wait(["verl"])
    # It closes its output, for which the build waits, a moment before it has ended.
    wait_until(lambda: not is_running(int(ended[0])))


def test_all_failures_are_reported(two: tuple[Environment, Environment], monkeypatch: pytest.MonkeyPatch) -> None:
    def build(built: Environment, source: object, phases: object, commands: Commands) -> None:
        raise StepError(f"{built.pin.trainer}: no room")

    monkeypatch.setattr(SYNC, build)
    with pytest.raises(StepError, match=r"^llamafactory: no room\nverl: no room$"), Builds(two) as builds:
        builds.wait_all()


def test_a_bug_in_a_build_is_not_hidden(two: tuple[Environment, Environment], monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SYNC, build)
    with pytest.raises(ZeroDivisionError), Builds(two) as builds:
        builds.wait(["verl"])


def test_a_later_build_gives_way(two: tuple[Environment, Environment], monkeypatch: pytest.MonkeyPatch) -> None:
    nice = {}

    def build(built: Environment, source: object, phases: object, commands: Commands) -> None:
        log = built.directory.parent / "log"
        argv = ["sh", "-c", "nice"]
        run(
            argv,
            log=log,
            variables=os.environ,
            what="x",
            commands=commands,
            watch=lambda line: nice.update({built.pin.trainer: line}),
        )

    monkeypatch.setattr(SYNC, build)
    with Builds(two, later=["verl"]) as builds:
        builds.wait_all()
    before = os.getpriority(os.PRIO_PROCESS, 0)
    assert nice == {"llamafactory": str(before), "verl": str(min(19, before + 10))}


def test_commands_that_were_ended_start_no_more(tmp_path: Path) -> None:
    commands = Commands()
    commands.end()
    with pytest.raises(EndedError):
        run(["touch", str(tmp_path / "file")], log=tmp_path / "log", variables=os.environ, what="x", commands=commands)
    with pytest.raises(EndedError):
        commands.pause(600)
    assert not (tmp_path / "file").exists()


def test_a_command_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    commands, up = Commands(), threading.Event()
    argv = ["sh", "-c", "trap '' TERM; echo up; sleep 900"]

    def build() -> None:
        with pytest.raises(EndedError):
            run(argv, log=tmp_path / "log", variables=os.environ, what="x", commands=commands, watch=lambda line: up.set())

    thread = threading.Thread(target=build)
    thread.start()
    up.wait()
    commands.end()
    thread.join()


INTERRUPTED = """
import json, os, sys
from pathlib import Path
from pipelines.environments import pinned_environment, uv
from pipelines.environments.builds import Builds
from pipelines.errors import Stopped
from pipelines.run.process import signals_as_stopped
uv.read_pip_settings = lambda: json.loads(os.environ["TOY_SETTINGS"])
try:
    with signals_as_stopped(), Builds([pinned_environment("verl", "cpu", Path(sys.argv[1]))]) as builds:
        builds.wait_all()
except Stopped as stopped:
    sys.exit(128 + stopped.number)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_builds(toy: Toy, number: signal.Signals) -> None:
    """The interpreter of the new environment imports for ever when the signal comes."""
    slow = toy.trainer / "stand_ins" / "cpu" / "slow.py"
    slow.parent.mkdir(parents=True)
    slow.write_text("import time\nprint('up', flush=True)\ntime.sleep(900)\n")
    file = toy.trainer / "pin.toml"
    file.write_text(re.sub("imports = .*", 'imports = ["slow"]', file.read_text()))
    argv = [sys.executable, "-c", INTERRUPTED, str(toy.root)]
    log = toy.directory.parent / "cpu.log"
    with subprocess.Popen(argv, env=toy.variables(), stderr=subprocess.PIPE, text=True) as child:
        while not (log.exists() and "up\n" in log.read_text()):
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(number)
        assert child.wait() == 128 + number
    assert not [each for each in psutil.process_iter(["cmdline"]) if str(toy.python) in (each.info["cmdline"] or [])]
    assert not pinned_environment("verl", "cpu", toy.root).is_ready()
