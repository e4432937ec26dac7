"""Programs that try to evade their limits, to spoil their worker, or to read what it did before."""

from __future__ import annotations

import platform
from dataclasses import replace

import pytest

from rewards.sandbox import Execution, Limits, Program, SandboxError
from rewards.sandbox.local import LocalSandbox
from rewards.sandbox.local.connection import Worker, WorkerFaultError
from tests.rewards.sandbox.local.conftest import run, talk

LIMITS = Limits(cpu_seconds=20, wall_seconds=300, memory_mb=512)


def _run(sandbox: LocalSandbox, code: str, limits: Limits = LIMITS) -> Execution:
    return run(sandbox, code, limits)


# Reads all memory near Python's objects. write(2) says EFAULT where nothing is mapped. What is searched for is in no part of
# this source.
SCAN = r"""
    import ctypes, os, re, sys
    libc = ctypes.CDLL(None, use_errno=True)
    r, w = os.pipe()
    def is_mapped(address):
        if libc.write(w, ctypes.c_void_p(address), ctypes.c_size_t(1)) == 1:
            os.read(r, 1)
            return True
    near = [id(each) for each in (object(), "a" * 100, [], {}, sys, os, bytearray(5_000))]
    near.append(ctypes.addressof(ctypes.create_string_buffer(9000)))
    found = set()
    for chunk in sorted({(address >> 20) + n for address in near for n in range(-16, 16)}):
        for page in range(256):
            address = (chunk << 20) + page * 4096
            if is_mapped(address):
                found |= set(re.findall(rb"(?:SOURCE|OUTPUT|STDIN)-OF-A-([0-9a-z]{4,8})", ctypes.string_at(address, 4096)))
    print(sorted(found))
"""


def test_earlier_programs_are_not_in_memory(isolated: LocalSandbox) -> None:
    one = f"# SOURCE-OF-A-xyzzy\nprint('OUTPUT-OF-A-' + str(98765 * 3))\n{'#' * 3000}"
    isolated.run_blocking(Program(one, stdin="STDIN-OF-A-qwerty"))
    _run(isolated, "pass")
    assert _run(isolated, SCAN).output == "[]\n"


def test_the_scan_finds_the_programs_own_memory(isolated: LocalSandbox) -> None:
    """The test above can fail."""
    kept = "import sys\n    kept = [str.join('', ('OUTPUT-OF', '-A-', 'found')).encode() for _ in range(100)]\n"
    assert _run(isolated, f"    {kept}{SCAN}").output == "[b'found']\n"


@pytest.mark.parametrize("ignored", ["SIG_IGN", "SIG_DFL"])
def test_time_of_children_counts(namespaces: LocalSandbox, ignored: str) -> None:
    code = f"""
        import os, signal, time
        signal.signal(signal.SIGCHLD, signal.{ignored})
        for _ in range(1000):
            if os.fork() == 0:
                begun = time.process_time()
                while time.process_time() - begun < 0.02: pass
                os._exit(0)
            try: os.wait()
            except ChildProcessError: pass
    """
    assert _run(namespaces, code, replace(LIMITS, cpu_seconds=0.5)).verdict == "timeout"


@pytest.mark.parametrize("depth", [300, 2000])
def test_deep_folders_are_removed(isolated: LocalSandbox, depth: int) -> None:
    code = f"""
        import os
        for _ in range({depth}):
            os.mkdir("d")
            os.chdir("d")
        open("f", "w").close()
        print("made")
    """
    assert _run(isolated, code).output == "made\n"
    assert _run(isolated, "import os; print(os.listdir('.'))").output == "[]\n"


@pytest.mark.parametrize("name", ["RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_NPROC"])
def test_the_worker_keeps_its_limits(isolated: LocalSandbox, name: str) -> None:
    code = f"import os, resource\nfor pid in (1, os.getppid()):\n    try: resource.prlimit(pid, resource.{name}, (1, 1))\n"
    _run(isolated, f"{code}    except OSError: pass")
    assert (
        _run(isolated, "x = bytearray(200 << 20)\nopen('x', 'w').write('right')\nprint(open('x').read())").output == "right\n"
    )


@pytest.mark.parametrize("faults", [1, 2])
def test_a_fault_of_the_worker_is_not_the_programs(faults: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose own code fails is replaced, and the program runs again; a second time is the sandbox's failure."""
    real = Worker.run
    failed: list[Worker] = []

    async def run(self: Worker, program: Program, limits: Limits) -> Execution:
        if len(failed) < faults:
            failed.append(self)
            raise WorkerFaultError("OSError: no descriptors")
        return await real(self, program, limits)

    sandbox = LocalSandbox(workers=1, isolation="weak")
    try:
        _run(sandbox, "")
        monkeypatch.setattr(Worker, "run", run)
        if faults == 1:
            assert _run(sandbox, "print('right')").output == "right\n"
        else:
            with pytest.raises(SandboxError, match="failed twice: OSError: no descriptors"):
                _run(sandbox, "print('right')")
        assert len({*failed}) == faults
    finally:
        sandbox.close()


def test_other_user_than_the_client(isolated: LocalSandbox) -> None:
    user = int(_run(isolated, "import os; print(os.getuid())").output)
    assert user != 0
    assert "print" in _run(isolated, "import os; print(os.setresuid(0, 0, 0))").error


RAISE = """
    import resource
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
"""


def test_a_session_cannot_raise_its_memory(isolated: LocalSandbox) -> None:
    small, large = replace(LIMITS, memory_mb=128), replace(LIMITS, memory_mb=512)
    use = "x = bytearray(200 << 20)\nlen(x) >> 20"
    raised, too_much, more = talk(isolated, (RAISE, small), (use, small), (use, large))
    assert raised.verdict == "error"
    assert too_much.verdict == "memory"
    assert more.value == "200"


def test_threads_of_an_earlier_call_count(namespaces: LocalSandbox) -> None:
    start = """
        import threading
        def work():
            while True: pass
        threading.Thread(target=work, daemon=True).start()
    """
    wait = "import time\nfor _ in range(600): time.sleep(0.1)"
    _, waited = talk(namespaces, (start, replace(LIMITS, cpu_seconds=1)), (wait, replace(LIMITS, cpu_seconds=1)))
    assert waited.verdict == "timeout"


@pytest.mark.parametrize(
    "report",
    [
        *(
            'b"E" + b"\\xff" * 60',
            'b"J\\xff\\xff\\xff\\xff" + b"x" * 100',
            'b""',
            'b"J" + struct.pack("!I", 100000) + b"[" * 100000',
        ),
        'pack({"verdict": "ok", "status": 0, "value": None, "cpu_seconds": 10**400})',
        'pack({"verdict": {}, "status": True, "value": 5, "cpu_seconds": float("nan")})',
        "pack([])",
    ],
)
def test_a_forged_report_harms_only_its_call(isolated: LocalSandbox, report: str) -> None:
    forge = f"""
        import json, os, struct
        def pack(value):
            data = json.dumps(value).encode()
            return b"J" + struct.pack("!I", len(data)) + data
        for number in (3, 4):
            try: os.write(number, {report})
            except OSError: pass
        os._exit(0)
    """
    # The process may still be about to end when the next call arrives, which then ends with it.
    first, _, after, later = talk(isolated, ("x = 5", LIMITS), (forge, LIMITS), ("x + 1", LIMITS), ("x + 1", LIMITS))
    assert first.verdict == "ok"
    assert after.value == "6" or after.verdict == "killed"
    assert later.value == "6"


@pytest.mark.parametrize("kind", ["settrace", "setprofile"])
def test_trace_functions_end_with_the_program(isolated: LocalSandbox, kind: str) -> None:
    """Since Python 3.13 they could change the local variables of what runs after the program (PEP 667)."""
    code = f"""
        import os, sys
        def trace(frame, event, argument):
            os.write(1, frame.f_code.co_filename.encode() + b"\\n")
            return trace
        sys.{kind}(trace)
        def own():
            pass
        own()
    """
    assert set(_run(isolated, code).output.split()) == {"main.py"}


BITS = """
    import ctypes, errno, struct
    libc = ctypes.CDLL(None, use_errno=True)
    def is_refused(number, first, second, third=None, fourth=None):
        "Make a call with bits that the kernel does not read in one of its arguments."
        ctypes.set_errno(0)
        given = [ctypes.c_long(each) if isinstance(each, int) else each for each in (first, second, third, fourth)]
        libc.syscall(ctypes.c_long(number), *given)
        return ctypes.get_errno() == errno.EPERM
"""
needs_numbers = pytest.mark.skipif(platform.machine() != "x86_64", reason="these are the numbers of system calls on x86-64")


@needs_numbers
def test_bits_that_the_kernel_does_not_read_change_nothing(isolated: LocalSandbox) -> None:
    """The kernel reads 32 bits of a signal, a limit or a command, and the filter sees 64."""
    code = f"""{BITS}
    import signal
    ignore = struct.pack("4Q", 1, 0x04000000, 0, 0)
    libc.syscall(ctypes.c_long(13), ctypes.c_long(17 | 1 << 32), ignore, None, ctypes.c_long(8))
    old = ctypes.create_string_buffer(32)
    libc.syscall(ctypes.c_long(13), ctypes.c_long(17), None, old, ctypes.c_long(8))
    print(struct.unpack("4Q", old.raw)[0])
    print([is_refused(72, 0, command | 1 << 32, 0) for command in (8, 10, 15)])
    """
    assert _run(isolated, code).output == "0\n[True, True, True]\n"


@needs_numbers
def test_a_session_cannot_raise_its_limits_by_such_bits(isolated: LocalSandbox) -> None:
    code = f"""{BITS}
    limits = struct.pack("2Q", 1 << 34, 1 << 34)
    [is_refused(160, 9 | 1 << 32, limits), is_refused(302, 0, 9 | 1 << 32, limits)]
    """
    assert [each.value for each in talk(isolated, (code, LIMITS))] == ["[True, True]"]
