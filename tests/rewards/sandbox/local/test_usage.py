"""What programs use is counted in full and once, by cgroups where they can be made and by /proc where not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from rewards.sandbox import Execution, Limits
from rewards.sandbox.local import LocalSandbox
from rewards.sandbox.local.inside import cgroup
from tests.rewards.sandbox.local.conftest import open_sandbox, run, talk

LIMITS = Limits(cpu_seconds=20, wall_seconds=300, memory_mb=512)
NAMESPACES = [("namespaces", True), ("namespaces", False)]
ALL = [*NAMESPACES, ("landlock", True), ("landlock", False)]
BY_GROUP = [("namespaces", True)]


@pytest.fixture(scope="module")
def counted(request: pytest.FixtureRequest) -> Iterator[LocalSandbox]:
    """One worker in a kind of isolation, with or without cgroups."""
    kind, has_groups = request.param
    with pytest.MonkeyPatch.context() as patch:
        if not has_groups:
            patch.setattr(cgroup, "find", list)
        opened = open_sandbox(kind)
        try:
            if has_groups:
                _skip_without(opened, "CPU time")
            else:
                assert not any("by cgroup" in row for _, row in opened.describe())
            yield opened
        finally:
            opened.close()


def _skip_without(sandbox: LocalSandbox, what: str) -> None:
    if "by cgroup" not in dict(sandbox.describe())[f"{what} counted"]:
        pytest.skip(f"no cgroup that counts {what} can be made here")


def _run(sandbox: LocalSandbox, code: str, limits: Limits = LIMITS) -> Execution:
    return run(sandbox, code, limits)


BURN = """
    import os, time
    def burn(seconds):
        begun = time.process_time()
        while time.process_time() - begun < seconds: pass
    def burn_apart(seconds):
        "Let a process burn that this one never waits for."
        reading, writing = os.pipe()
        if os.fork() == 0:
            if os.fork() == 0:
                burn(seconds)
                os.write(writing, b"x")
            os._exit(0)
        os.wait()
        os.read(reading, 1)
        os.close(reading), os.close(writing)
"""


@pytest.mark.parametrize("counted", NAMESPACES, indirect=True)
def test_time_of_processes_that_no_other_one_waits_for_counts(counted: LocalSandbox) -> None:
    ended = _run(counted, f"{BURN}\n    for _ in range(50): burn_apart(0.1)", replace(LIMITS, cpu_seconds=0.5))
    assert (ended.verdict, ended.status) == ("timeout", None)


@pytest.mark.parametrize("counted", BY_GROUP, indirect=True)
def test_their_time_is_in_the_result(counted: LocalSandbox) -> None:
    ended = _run(counted, f"{BURN}\n    for _ in range(5): burn_apart(0.1)")
    assert ended.verdict == "ok"
    assert ended.cpu_seconds is not None
    assert ended.cpu_seconds >= 0.45


@pytest.mark.parametrize("counted", BY_GROUP, indirect=True)
def test_time_after_the_last_look_counts(counted: LocalSandbox) -> None:
    """A program is looked at 20 times a second: these end before that."""
    ended = _run(counted, f"{BURN}\n    for _ in range(2): burn_apart(0.008)", replace(LIMITS, cpu_seconds=0.01))
    assert (ended.verdict, ended.status) == ("timeout", None)


@pytest.mark.parametrize("counted", ALL, indirect=True)
def test_time_of_a_program_is_not_the_next_ones(counted: LocalSandbox) -> None:
    limits = replace(LIMITS, cpu_seconds=0.5)
    for _ in range(4):
        ended = _run(counted, f"{BURN}\n    burn(0.3)", limits)
        assert ended.verdict == "ok"
        assert ended.cpu_seconds is not None
        assert 0.3 <= ended.cpu_seconds <= 0.5


@pytest.mark.parametrize("counted", ALL, indirect=True)
def test_threads_of_an_earlier_call_count(counted: LocalSandbox) -> None:
    start = """
        import threading
        def work():
            while True: pass
        threading.Thread(target=work, daemon=True).start()
    """
    wait = "import time\nfor _ in range(600): time.sleep(0.1)"
    _, waited = talk(counted, (start, replace(LIMITS, cpu_seconds=1)), (wait, replace(LIMITS, cpu_seconds=1)))
    assert waited.verdict == "timeout"


@pytest.mark.parametrize("counted", BY_GROUP, indirect=True)
def test_a_call_cannot_report_less_time(counted: LocalSandbox) -> None:
    """Its own process measures it, which untrusted code can change."""
    lie = f"{BURN}\n    burn(0.3)\n    time.process_time = lambda: -1000.0"
    (ended,) = talk(counted, (lie, LIMITS))
    assert ended.verdict == "ok"
    assert ended.cpu_seconds is not None
    assert ended.cpu_seconds >= 0.3


SHARE = """
    import mmap, os, time
    kept = bytearray(b"x") * (100 << 20)
    reading, writing = os.pipe()
    for _ in range(8):
        if os.fork() == 0:
            {use}
            os.write(writing, b"x")
            time.sleep(600)
    for _ in range(8): os.read(reading, 1)
    time.sleep({seconds})
    print("done")
"""
READ, WRITE = "sum(memoryview(kept)[::4096])", "kept[::4096] = bytes(len(kept) // 4096)"
SHARED_MEMORY = "held = mmap.mmap(-1, 100 << 20); held[::4096] = b'x' * (len(held) // 4096)"


@pytest.mark.parametrize("counted", BY_GROUP, indirect=True)
def test_shared_pages_count_once(counted: LocalSandbox) -> None:
    _skip_without(counted, "memory")
    ended = _run(counted, SHARE.format(use=READ, seconds=0.3))
    assert (ended.verdict, ended.output) == ("ok", "done\n")


@pytest.mark.parametrize("counted", [("namespaces", False)], indirect=True)
def test_shared_pages_count_for_each_process_without_cgroups(counted: LocalSandbox) -> None:
    """The test above can fail."""
    assert _run(counted, SHARE.format(use=READ, seconds=600)).verdict == "memory"


@pytest.mark.parametrize("counted", NAMESPACES, indirect=True)
@pytest.mark.parametrize("use", [WRITE, SHARED_MEMORY])
def test_pages_of_several_processes_count_together(counted: LocalSandbox, use: str) -> None:
    assert _run(counted, SHARE.format(use=use, seconds=600)).verdict == "memory"


@pytest.mark.parametrize("counted", ALL, indirect=True)
def test_memory_of_a_program_is_not_the_next_ones(counted: LocalSandbox) -> None:
    for _ in range(3):
        code = "import time\nkept = bytearray(b'x') * (200 << 20)\ntime.sleep(0.2)\nprint(len(kept) >> 20)"
        assert _run(counted, code, replace(LIMITS, memory_mb=256)).output == "200\n"


@pytest.mark.parametrize("counted", ALL, indirect=True)
def test_files_are_not_memory(counted: LocalSandbox) -> None:
    code = """
        import time
        with open("x", "wb") as file:
            for _ in range(60): file.write(bytes(1 << 20))
        time.sleep(0.2)
        print("done")
    """
    assert _run(counted, code, replace(LIMITS, memory_mb=48)).output == "done\n"


@pytest.mark.parametrize("counted", ALL, indirect=True)
def test_a_session_may_change_what_it_holds(counted: LocalSandbox) -> None:
    """A call runs in a copy of the process that holds the variables: what it only copies is not what it adds."""
    limits = replace(LIMITS, memory_mb=256)
    hold = "kept = bytearray(b'x') * (150 << 20)"
    change = "import time\nkept[::4096] = bytes(len(kept) // 4096)\ntime.sleep(0.2)\nlen(kept) >> 20"
    assert [each.value for each in talk(counted, (hold, limits), (change, limits), (change, limits))] == [None, "150", "150"]


@pytest.mark.parametrize("counted", BY_GROUP, indirect=True)
def test_memory_of_the_kernel_counts(counted: LocalSandbox) -> None:
    """What is sent to a socket and not received is in no process."""
    _skip_without(counted, "memory")
    code = """
        import os, socket, time
        def fill():
            pairs = []
            for _ in range(60):
                pairs.append(socket.socketpair())
                for each in pairs[-1]:
                    each.setblocking(False)
                    try:
                        while True: each.send(bytes(65536))
                    except BlockingIOError: pass
            return pairs
        for _ in range(30):
            if os.fork() == 0: break
        kept = fill()
        time.sleep(60)
    """
    assert _run(counted, code, replace(LIMITS, memory_mb=128)).verdict == "memory"


@pytest.mark.parametrize("counted", ALL, indirect=True)
def test_output_is_not_memory(counted: LocalSandbox) -> None:
    code = "import os, time\nfor _ in range(200): os.write(1, b'x' * 100_000)\ntime.sleep(0.2)"
    ended = _run(counted, code, replace(LIMITS, memory_mb=16, output_bytes=30_000_000))
    assert (ended.verdict, len(ended.output)) == ("ok", 20_000_000)
