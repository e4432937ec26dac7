"""The pool of the local sandbox: what it leaves behind, how bad programs affect others, and how it survives lost processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from rewards.sandbox import Limits, Program, SandboxError
from rewards.sandbox.local.isolation import Kind
from rewards.sandbox.local.sandbox import LocalSandbox
from tests import ROOT
from tests.rewards.sandbox.local.conftest import find_template
from tests.waiting import wait_until

LONG = Limits(cpu_seconds=60, wall_seconds=600, memory_mb=200)
SHORT = Limits(cpu_seconds=0.2, wall_seconds=0.6, memory_mb=200)

HOSTILE = {
    "fork bomb": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    "flood": "while True:\n    print('x' * 10**6)",
    "memory": "x = []\nwhile True:\n    x.append('a' * 10**7)",
    "closed descriptors": "import os\nos.closerange(0, 100)",
    "signals": "import os\nfor number in (15, 19, 9):\n    for to in (-1, 0):\n        try:\n            os.kill(to, number)\n"
    "        except OSError:\n            pass",
    "stopped": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "deep recursion": "import sys\nsys.setrecursionlimit(10**9)\nf = lambda n: [f(n + 1)]\nf(0)",
    "segmentation fault": "import ctypes\nctypes.string_at(0)",
    "grandchild": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(1000)\n"
    "    os._exit(0)\nprint('done')",
    "files": "import os\nfor n in range(100):\n    open(str(n), 'w').write('x' * 1000)\nos.makedirs('a/b')\nos.chmod('a', 0)",
    "threads": "import threading, time\nwhile True:\n    threading.Thread(target=time.sleep, args=(100,)).start()",
    "endless": "while True:\n    pass",
}
OFTEN = {"grandchild": 40, "closed descriptors": 40, "segmentation fault": 40, "signals": 20, "files": 20}
"""How often the quick programs run for each of the slow ones."""


@pytest.fixture
def sandbox() -> Iterator[LocalSandbox]:
    opened = LocalSandbox(workers=2)
    yield opened
    opened.close()


async def _wait_for_process(sandbox: LocalSandbox, name: str) -> psutil.Process:
    """Return the process of this name in the sandbox."""

    def find() -> psutil.Process | None:
        if sandbox._pool is None or sandbox._pool._template is None:
            return None
        return next((each for each in find_template(sandbox).children(recursive=True) if _get_name(each) == name), None)

    found = await asyncio.to_thread(wait_until, find)
    assert found is not None
    return found


def _kill_worker(program: psutil.Process) -> None:
    worker = program.parent()
    assert worker is not None
    worker.kill()


def _get_name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:  # it has ended
        return ""


def _make_sleeper(seconds: float) -> tuple[str, Program]:
    """Return a program that gives its process a unique name and sleeps, and that name."""
    name = f"sleep{secrets.token_hex(4)}"
    return name, Program(f"import ctypes, time\nctypes.CDLL(None).prctl(15, b'{name}')\ntime.sleep({seconds})\nprint('done')")


def _measure_memory(sandbox: LocalSandbox) -> int:
    """Return the anonymous memory of this process and the sandbox: pages of files are shared with other processes."""
    processes = [psutil.Process(), find_template(sandbox), *find_template(sandbox).children(recursive=True)]
    total = 0
    for process in processes:
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss_Anon:"))
    return total


@pytest.mark.nightly
def test_ten_thousand_executions_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Correct programs among hostile ones of every kind: the correct ones pass, and nothing stays."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    descriptors = psutil.Process().num_fds()
    sandbox = LocalSandbox(workers=2)
    chosen = random.Random(7)
    names = chosen.choices(list(HOSTILE), [OFTEN.get(name, 1) for name in HOSTILE], k=4000)
    names += ["correct"] * 6000
    chosen.shuffle(names)

    async def run_all(part: list[str]) -> Counter[tuple[str, str]]:
        programs = [Program(HOSTILE.get(name, f"print({number} * 3)")) for number, name in enumerate(part)]
        limits = [SHORT if name in HOSTILE else LONG for name in part]
        executions = await asyncio.gather(*map(sandbox.run, programs, limits))
        for number, (name, execution) in enumerate(zip(part, executions, strict=True)):
            if name == "correct":
                assert (execution.verdict, execution.output) == ("ok", f"{number * 3}\n"), execution
        return Counter((name, execution.verdict) for name, execution in zip(part, executions, strict=True))

    counted = asyncio.run(run_all(names[:2000]))
    warm = _measure_memory(sandbox)
    for start in range(2000, 10_000, 2000):
        counted += asyncio.run(run_all(names[start : start + 2000]))
    assert counted.total() == 10_000
    assert {name for name, _ in counted} == {"correct", *HOSTILE}
    for name in ("endless", "flood", "stopped", "segmentation fault", "fork bomb", "memory", "threads"):
        assert counted[name, "ok"] == 0
    grown = _measure_memory(sandbox) - warm
    assert grown < 20 << 20, f"{grown >> 20} MiB more after 8,000 executions"
    family = [find_template(sandbox), *find_template(sandbox).children(recursive=True)]
    sandbox.close()
    assert psutil.wait_procs(family, timeout=120)[1] == []
    assert psutil.Process().num_fds() == descriptors
    assert list(tmp_path.iterdir()) == []


def test_long_programs_do_not_block_the_queue() -> None:
    """With one worker, other programs run while five sleep."""
    sandbox = LocalSandbox(workers=1)

    async def run() -> None:
        sleeping = [asyncio.create_task(sandbox.run(Program("import time\ntime.sleep(1000)"), LONG)) for _ in range(5)]
        quick = await sandbox.run_many([Program("print(1)")] * 50, LONG)
        assert {each.verdict for each in quick} == {"ok"}
        assert not any(task.done() for task in sleeping)

    try:
        asyncio.run(run())
    finally:
        sandbox.close()


def test_killed_worker_is_replaced(sandbox: LocalSandbox) -> None:
    name, program = _make_sleeper(1)

    async def run() -> str:
        task = asyncio.create_task(sandbox.run(program, LONG))
        _kill_worker(await _wait_for_process(sandbox, name))
        return (await task).output

    assert asyncio.run(run()) == "done\n"


def test_program_whose_workers_are_killed_twice_is_killed(sandbox: LocalSandbox) -> None:
    name, program = _make_sleeper(1000)

    async def run() -> str:
        task = asyncio.create_task(sandbox.run(program, LONG))
        for _ in range(2):
            process = await _wait_for_process(sandbox, name)
            _kill_worker(process)
            await asyncio.to_thread(psutil.wait_procs, [process], 120)
        return (await task).verdict

    assert asyncio.run(run()) == "killed"
    assert sandbox.run_blocking(Program("print(1)"), LONG).output == "1\n"


def test_killed_template_is_replaced(sandbox: LocalSandbox) -> None:
    assert sandbox.run_blocking(Program("print(1)"), LONG).output == "1\n"
    find_template(sandbox).kill()
    assert sandbox.run_blocking(Program("print(2)"), LONG).output == "2\n"


def test_template_whose_end_is_seen_late_is_replaced(sandbox: LocalSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sandbox.run_blocking(Program("print(1)"), LONG).output == "1\n"
    template = sandbox._pool._template if sandbox._pool is not None else None
    assert template is not None
    find_template(sandbox).kill()
    seen = iter([None])
    real = template.poll
    monkeypatch.setattr(template, "poll", lambda: next(seen, real()))
    assert sandbox.run_blocking(Program("print(2)"), LONG).output == "2\n"


def test_many_threads_and_loops_at_once(sandbox: LocalSandbox) -> None:
    def one(number: int) -> str:
        if number % 2:
            return sandbox.run_blocking(Program(f"print({number})"), LONG).output
        return asyncio.run(sandbox.run(Program(f"print({number})"), LONG)).output

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(one, range(64))) == [f"{number}\n" for number in range(64)]


def test_cancelling_the_caller_ends_the_program(sandbox: LocalSandbox) -> None:
    name, program = _make_sleeper(1000)
    running: list[psutil.Process] = []

    async def cancel() -> None:
        task = asyncio.create_task(sandbox.run(program, LONG))
        running.append(await _wait_for_process(sandbox, name))
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert psutil.wait_procs(running, timeout=120)[1] == []
    assert sandbox.run_blocking(Program("print(1)"), LONG).output == "1\n"


CLIENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from rewards.sandbox import Program
from rewards.sandbox.local.sandbox import LocalSandbox
sandbox = LocalSandbox(workers=2, kind=sys.argv[2] or None)
sandbox.run_blocking(Program(""))
print("ready", flush=True)
sandbox.run_blocking(Program("import time\\ntime.sleep(600)"))
"""


@pytest.mark.parametrize("kind", ["namespaces", "landlock"])
def test_killed_client_leaves_nothing(kind: str, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", CLIENT, str(ROOT), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as client:
        assert client.stdout is not None
        if client.stdout.readline() != "ready\n":
            pytest.skip(f"this machine has no {kind}")
        family = psutil.Process(client.pid).children(recursive=True)
        assert family
        client.send_signal(signal.SIGKILL)
        client.wait()
    assert psutil.wait_procs(family, timeout=120)[1] == []
    wait_until(lambda: not list(tmp_path.iterdir()))


@pytest.mark.parametrize("kind", ["namespaces", "landlock", "weak"])
def test_only_its_own_files_are_removed(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "others" / "folder").mkdir(parents=True)
    (tmp_path / "others" / "folder" / "file").write_text("kept")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sandbox = LocalSandbox(workers=2, kind=kind, isolation="weak")
    try:
        for number in range(3):
            sandbox.run_blocking(Program(f"open('mine', 'w').write('{number}')"))
    except SandboxError as error:
        pytest.skip(str(error))
    finally:
        sandbox.close()
    assert [each.name for each in tmp_path.iterdir()] == ["others"]
    assert (tmp_path / "others" / "folder" / "file").read_text() == "kept"


def test_imports_can_be_imported_and_others_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site-packages" / "mine").mkdir(parents=True)
    (tmp_path / "site-packages" / "mine" / "__init__.py").write_text("VALUE = 7\n")
    (tmp_path / "site-packages" / "mine" / "late.py").write_text("VALUE = 8\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    program = Program("import mine\nfrom mine import late\nprint(mine.VALUE, late.VALUE)")
    with_it, without = LocalSandbox(workers=1, imports=("mine",)), LocalSandbox(workers=1)
    try:
        assert with_it.run_blocking(program, LONG).output == "7 8\n"
        assert "ModuleNotFoundError" in without.run_blocking(program, LONG).error
    finally:
        with_it.close()
        without.close()


def test_missing_import_is_one_line() -> None:
    sandbox = LocalSandbox(workers=1, imports=("no_such_package",))
    with pytest.raises(SandboxError, match=r"^package no_such_package is not installed in "):
        sandbox.run_blocking(Program(""))
    sandbox.close()


def test_failing_import_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sandbox = LocalSandbox(workers=1, imports=("broken",))
    with pytest.raises(SandboxError, match=r"^the sandbox could not import what programs need: ZeroDivisionError"):
        sandbox.run_blocking(Program(""))
    sandbox.close()


def test_python_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rewards.sandbox.local.pool._START", "import no_such_module")
    sandbox = LocalSandbox(workers=1)
    with pytest.raises(SandboxError, match=r"failed to start: ModuleNotFoundError: No module named 'no_such_module'$"):
        sandbox.run_blocking(Program(""))
    sandbox.close()


def test_every_program_has_random_numbers_of_its_own(sandbox: LocalSandbox) -> None:
    """Programs are forked without what Python does after a fork, which would seed them."""
    code = "import random, uuid; print(random.random(), random.Random().random(), uuid.uuid4())"
    printed = [sandbox.run_blocking(Program(code)).output.split() for _ in range(4)]
    assert all(len(set(numbers)) == 4 for numbers in zip(*printed, strict=True))


def test_what_a_package_does_after_a_fork_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forked.py").write_text(
        "import os\ncount = 0\n\ndef note():\n    global count\n    count += 1\n\nos.register_at_fork(after_in_child=note)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    sandbox = LocalSandbox(workers=1, imports=("forked",))
    try:
        before, after = (int(sandbox.run_blocking(Program("import forked; print(forked.count)")).output) for _ in range(2))
    finally:
        sandbox.close()
    assert before == after > 1, "once for the worker, and once for the program"
