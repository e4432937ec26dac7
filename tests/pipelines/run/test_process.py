"""A command and its descendants end together, whatever ends the command or the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.errors import StepError, Stopped
from pipelines.run import process
from pipelines.run.scratch import scratch_folder

GRACE = 0.5


@pytest.fixture
def run_directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert not process.find_processes(tmp_path), "orphaned processes"
    assert not scratch_folder(tmp_path).exists(), "the scratch folder is still there"


def run_python(code: str, run_directory: Path, **options: object) -> process.Outcome:
    return process.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=run_directory,
        environment={},
        log=run_directory / "log",
        run_directory=run_directory,
        grace=GRACE,
        **options,  # type: ignore[arg-type]
    )


def wait_for(condition: object, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


STUBBORN_COMMAND = """
    import os, signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", code], start_new_session=True)  # in its own session, like Ray's agents
    if (child := os.fork()) == 0:
        os.setsid()
        if os.fork():
            os._exit(0)  # the grandchild is now an orphan
        time.sleep(600)
    os.waitpid(child, 0)  # after it, the grandchild exists
    open("ready", "w").close()
    time.sleep(600)
"""


def test_output_and_status(run_directory: Path) -> None:
    outcome = run_python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)", run_directory)
    assert outcome == process.Outcome(status=3)
    assert set((run_directory / "log").read_text().split()) == {"out", "err"}


def test_the_users_choice_of_the_hub_comes_first(run_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    code = "import os; print(os.environ['HF_HUB_OFFLINE'], os.environ['OMP_NUM_THREADS'])"
    argv = [sys.executable, "-c", code]
    for name, value in (("HF_HUB_OFFLINE", "0"), ("OMP_NUM_THREADS", "7")):
        monkeypatch.setenv(name, value)
    log = run_directory / "log"
    process.run(argv, cwd=run_directory, environment=environment, log=log, run_directory=run_directory)
    assert log.read_text() == "0 1\n"


def test_signal_is_a_negative_status(run_directory: Path) -> None:
    assert run_python("import os; os.kill(os.getpid(), 9)", run_directory).status == -9


def test_missing_command(run_directory: Path) -> None:
    with pytest.raises(StepError, match="/no/such/python: No such file"):
        process.run(
            ["/no/such/python"], cwd=run_directory, environment={}, log=run_directory / "log", run_directory=run_directory
        )


def test_orphans_are_ended_and_named(run_directory: Path) -> None:
    outcome = run_python(
        """
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        """,
        run_directory,
    )
    assert outcome.status == 0
    assert len(outcome.orphans) == 1


def test_temporary_files_are_in_the_scratch_folder_and_removed(run_directory: Path) -> None:
    run_python("import tempfile; print(tempfile.mkdtemp())", run_directory)
    made = Path((run_directory / "log").read_text().strip())
    assert made.parent == scratch_folder(run_directory)
    assert not made.exists()


def test_stopping_ends_processes_that_ignore_sigterm(run_directory: Path) -> None:
    def stop() -> None:
        if (run_directory / "ready").exists():
            assert len(process.find_processes(run_directory)) >= 4
            raise Stopped(signal.SIGINT)

    with pytest.raises(Stopped):
        run_python(STUBBORN_COMMAND, run_directory, poll=stop)
    assert not process.find_processes(run_directory)


def start_elsewhere(run_directory: Path, code: str = STUBBORN_COMMAND) -> subprocess.Popen[bytes]:
    """Start a process that runs the command as `pipeline run` does."""
    program = f"""
import sys
from pathlib import Path
from pipelines.run import process
d = Path({str(run_directory)!r})
argv = [sys.executable, "-c", {textwrap.dedent(code)!r}]
process.run(argv, cwd=d, environment={{}}, log=d / "log", run_directory=d, grace={GRACE})
"""
    started = subprocess.Popen([sys.executable, "-c", program])
    wait_for((run_directory / "ready").exists)
    return started


def test_kill_9_of_the_run_ends_all_processes(run_directory: Path) -> None:
    started = start_elsewhere(run_directory)
    assert process.find_processes(run_directory)
    started.kill()
    started.wait()
    wait_for(lambda: not process.find_processes(run_directory))
    wait_for(lambda: not scratch_folder(run_directory).exists())


def test_orphans_of_a_killed_run_and_supervisor_are_ended_by_the_next_run(run_directory: Path) -> None:
    started = start_elsewhere(run_directory)
    (supervisor,) = psutil.Process(started.pid).children()
    started.kill()
    supervisor.kill()
    started.wait()
    assert process.find_processes(run_directory)
    assert process.end_orphans(run_directory, GRACE)
    assert not process.find_processes(run_directory)
    scratch_folder(run_directory).rmdir()


def test_kill_9_of_the_supervisor_fails_the_step(run_directory: Path) -> None:
    def kill() -> None:
        if (run_directory / "ready").exists():
            # Children of earlier tests, such as multiprocessing's resource tracker, stay.
            for child in psutil.Process().children():
                if child.status() != psutil.STATUS_ZOMBIE and "pipelines.run.supervisor" in child.cmdline():
                    child.kill()

    with pytest.raises(StepError, match="was killed"):
        run_python(STUBBORN_COMMAND, run_directory, poll=kill)
    assert not process.find_processes(run_directory)
    scratch_folder(run_directory).rmdir()


def test_a_process_that_does_not_end_is_named(run_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One in state D ignores SIGKILL; here, SIGKILL is not sent."""
    started = start_elsewhere(run_directory)
    (supervisor,) = psutil.Process(started.pid).children()
    alive = supervisor.children(recursive=True)
    started.kill()
    supervisor.kill()
    started.wait()
    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "kill", lambda self: None)
        patch.setattr(psutil.Process, "terminate", lambda self: None)
        with pytest.raises(process.StuckError, match=r"cannot end python.* \(pid \d+, state sleeping") as caught:
            process.end_orphans(run_directory, 0.1, 0.1)
    assert any(f"(pid {each.pid}, state " in str(caught.value) for each in alive)
    process.end_orphans(run_directory, GRACE)
    scratch_folder(run_directory).rmdir()


STUCK = """
import signal, sys
from pathlib import Path
from pipelines.run import supervisor
supervisor._signal = lambda process, number: None
supervisor.end_descendants = lambda grace, end=supervisor.end_descendants: end(grace, 0.2)
sys.exit(supervisor.main(sys.argv[1:]))
"""


def test_the_supervisor_gives_up_and_names_the_process(run_directory: Path) -> None:
    scratch = scratch_folder(run_directory)
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    argv = [sys.executable, "-c", STUCK, str(run_directory / "log"), str(scratch), "0.1", "--", sys.executable, "-c", code]
    environment = {**os.environ, process.MARK: str(run_directory)}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as started:
        assert started.stdout is not None
        (stuck,) = json.loads(started.stdout.read())["stuck"]
    assert "(pid " in stuck and "state sleeping" in stuck
    process.end_orphans(run_directory, GRACE)
    scratch.rmdir()


def test_a_second_signal_is_ignored(run_directory: Path) -> None:
    def interrupt() -> None:
        if (run_directory / "ready").exists():
            for _ in range(2):  # Ctrl-C twice
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)  # background processes of a shell ignore SIGINT
    with pytest.raises(Stopped) as caught, process.signals_as_stopped():
        run_python(STUBBORN_COMMAND, run_directory, poll=interrupt)
    assert caught.value.number == signal.SIGINT
    assert signal.getsignal(signal.SIGINT) is before


def test_only_the_runs_shared_memory_is_removed(run_directory: Path) -> None:
    code = """
    import multiprocessing.shared_memory as memory, os
    from multiprocessing import resource_tracker
    memory._SHM_NAME_PREFIX = "/" + os.environ["PIPELINE_SHM_PREFIX"]  # as the plugin does inside verl
    made = memory.SharedMemory(create=True, size=100)
    resource_tracker.unregister(made._name, "shared_memory")  # as after a kill
    print(made.name)
    """
    theirs = Path("/dev/shm", f"not-ours-{os.getpid()}")
    theirs.touch()
    try:
        assert run_python(code, run_directory).status == 0
        assert not Path("/dev/shm", (run_directory / "log").read_text().strip()).exists()
        assert theirs.exists()
    finally:
        theirs.unlink()
