"""The local sandbox's pool: what it leaves behind, whom a bad program holds up, and how it outlives the loss of its parts."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
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
"""How often the quick ones come for each of the slow ones."""


@pytest.fixture
def sandbox() -> Iterator[LocalSandbox]:
    opened = LocalSandbox()
    yield opened
    opened.close()


def _count_resources() -> tuple[int, int, int]:
    """Processes under this one, its open descriptors, and folders of a sandbox."""
    me = psutil.Process()
    return len(me.children(recursive=True)), me.num_fds(), len(list(Path(tempfile.gettempdir()).glob("sandbox-*")))


def _find_template(sandbox: LocalSandbox) -> psutil.Process:
    assert sandbox._pool is not None
    assert sandbox._pool._template is not None
    return psutil.Process(sandbox._pool._template.pid)


def _memory(sandbox: LocalSandbox) -> int:
    return psutil.Process().memory_info().rss + sandbox.measure_memory()[0]


@pytest.mark.smoke
def test_ten_thousand_executions_leave_nothing_behind(sandbox: LocalSandbox) -> None:
    """Right programs among hostile ones of every kind: none is hurt, and nothing stays."""
    before = _count_resources()
    chosen = random.Random(7)
    names = chosen.choices(list(HOSTILE), [OFTEN.get(name, 1) for name in HOSTILE], k=4000)
    names += ["right"] * 6000
    chosen.shuffle(names)

    async def run_all(part: list[str]) -> Counter[tuple[str, str]]:
        programs = [Program(HOSTILE.get(name, f"print({number} * 3)")) for number, name in enumerate(part)]
        executions = await sandbox.run_many(programs, SHORT)
        for number, (name, execution) in enumerate(zip(part, executions, strict=True)):
            if name == "right":
                assert (execution.verdict, execution.output) == ("ok", f"{number * 3}\n"), execution
        return Counter((name, execution.verdict) for name, execution in zip(part, executions, strict=True))

    counted = asyncio.run(run_all(names[:2000]))
    warm = _memory(sandbox)
    for start in range(2000, 10_000, 2000):
        counted += asyncio.run(run_all(names[start : start + 2000]))
    assert counted.total() == 10_000
    assert {name for name, _ in counted} == {"right", *HOSTILE}
    for name in ("endless", "flood", "stopped", "segmentation fault", "fork bomb", "memory", "threads"):
        assert counted[name, "ok"] == 0
    grown = _memory(sandbox) - warm
    assert grown < 20 << 20, f"{grown >> 20} MiB more after 8,000 executions"
    sandbox.close()
    assert _count_resources() == before


def test_an_endless_program_holds_up_no_other() -> None:
    """One worker's place: while eight programs sleep or spin for ever, others pass."""
    sandbox = LocalSandbox(workers=1)

    async def both() -> tuple[list[str], list[str], bool]:
        endless = asyncio.create_task(
            sandbox.run_many([Program("import time\ntime.sleep(60)")] * 5, Limits(cpu_seconds=1, wall_seconds=8))
        )
        quick = await sandbox.run_many([Program("print(1)")] * 50)
        before = not endless.done()
        return [each.verdict for each in await endless], [each.verdict for each in quick], before

    try:
        asyncio.run(sandbox.run_many([Program("")]))
        endless, quick, before = asyncio.run(both())
        assert set(endless) == {"timeout"}
        assert set(quick) == {"ok"}
        assert before
    finally:
        sandbox.close()


def test_a_worker_that_is_killed_is_replaced(sandbox: LocalSandbox) -> None:
    async def run() -> str:
        task = asyncio.create_task(sandbox.run(Program("import time\ntime.sleep(1)\nprint('done')")))
        await asyncio.sleep(0.5)
        for worker in _find_template(sandbox).children():
            worker.kill()
        return (await task).output

    assert asyncio.run(run()) == "done\n"


def test_a_program_that_its_worker_never_survives_is_a_killed_program(sandbox: LocalSandbox) -> None:
    async def run() -> str:
        task = asyncio.create_task(sandbox.run(Program("import time\ntime.sleep(5)")))
        for _ in range(2):
            await asyncio.sleep(1)
            for worker in _find_template(sandbox).children():
                worker.kill()
        return (await task).verdict

    assert asyncio.run(run()) == "killed"
    assert sandbox.run_blocking(Program("print(1)")).output == "1\n"


def test_a_template_that_is_killed_is_replaced(sandbox: LocalSandbox) -> None:
    assert sandbox.run_blocking(Program("print(1)")).output == "1\n"
    _find_template(sandbox).kill()
    assert sandbox.run_blocking(Program("print(2)")).output == "2\n"


def test_many_threads_and_loops_at_once(sandbox: LocalSandbox) -> None:
    def one(number: int) -> str:
        if number % 2:
            return sandbox.run_blocking(Program(f"print({number})")).output
        return asyncio.run(sandbox.run(Program(f"print({number})"))).output

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(one, range(64))) == [f"{number}\n" for number in range(64)]


def test_a_caller_that_gives_up_ends_its_program(sandbox: LocalSandbox) -> None:
    running: list[psutil.Process] = []

    async def give_up() -> None:
        task = asyncio.create_task(sandbox.run(Program("import time\ntime.sleep(60)")))
        await asyncio.sleep(0.5)
        for worker in _find_template(sandbox).children():
            running.extend(worker.children())
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(give_up())
    assert len(running) == 1
    assert psutil.wait_procs(running, timeout=10)[1] == []
    assert sandbox.run_blocking(Program("print(1)")).output == "1\n"


def test_after_close_it_says_so(sandbox: LocalSandbox) -> None:
    sandbox.run_blocking(Program(""))
    sandbox.close()
    with pytest.raises(SandboxError, match="closed"):
        sandbox.run_blocking(Program(""))


CLIENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from rewards.sandbox import Program
from rewards.sandbox.local.isolation import Kind
from rewards.sandbox.local.sandbox import LocalSandbox
sandbox = LocalSandbox(workers=2, kind=sys.argv[2] or None)
sandbox.run_blocking(Program(""))
print("ready", flush=True)
sandbox.run_blocking(Program("import time\\ntime.sleep(600)"))
"""


@pytest.mark.parametrize("kind", ["namespaces", "landlock"])
def test_a_client_that_is_killed_leaves_nothing(kind: str, tmp_path: Path) -> None:
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
    assert psutil.wait_procs(family, timeout=10)[1] == []
    deadline = time.monotonic() + 10
    while list(tmp_path.iterdir()):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("kind", ["namespaces", "landlock", "weak"])
def test_it_removes_nothing_but_its_own(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_imports_are_seen_and_others_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site-packages" / "mine").mkdir(parents=True)
    (tmp_path / "site-packages" / "mine" / "__init__.py").write_text("VALUE = 7\n")
    (tmp_path / "site-packages" / "mine" / "late.py").write_text("VALUE = 8\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    program = Program("import mine\nfrom mine import late\nprint(mine.VALUE, late.VALUE)")
    with_it, without = LocalSandbox(workers=1, imports=("mine",)), LocalSandbox(workers=1)
    try:
        assert with_it.run_blocking(program).output == "7 8\n"
        assert "ModuleNotFoundError" in without.run_blocking(program).error
    finally:
        with_it.close()
        without.close()


def test_an_import_that_is_not_installed_is_one_line() -> None:
    sandbox = LocalSandbox(workers=1, imports=("no_such_package",))
    with pytest.raises(SandboxError, match=r"^there is no package no_such_package in "):
        sandbox.run_blocking(Program(""))
    sandbox.close()


def test_an_import_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    sandbox = LocalSandbox(workers=1, imports=("broken",))
    with pytest.raises(SandboxError, match=r"ZeroDivisionError"):
        sandbox.run_blocking(Program(""))
    sandbox.close()


def test_a_python_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from rewards.sandbox.local import pool

    monkeypatch.setattr(pool, "_START", "import no_such_module")
    sandbox = LocalSandbox(workers=1)
    with pytest.raises(SandboxError, match=r"ended at its start: ModuleNotFoundError: No module named 'no_such_module'$"):
        sandbox.run_blocking(Program(""))
    sandbox.close()
