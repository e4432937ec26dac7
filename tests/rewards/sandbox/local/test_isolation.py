"""What a program in the local sandbox cannot see, reach or leave behind, for each kind of isolation of this machine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from rewards.sandbox import Limits, Program, SandboxError
from rewards.sandbox.local import isolation
from rewards.sandbox.local.examine import describe_landlock
from rewards.sandbox.local.isolation import Isolation, Kind
from rewards.sandbox.local.sandbox import LocalSandbox
from rewards.sandbox.local.seccomp import NoFilterError
from tests import ROOT
from tests.rewards.sandbox.local.conftest import open_sandbox
from tests.rewards.sandbox.public import find_public_python, public_copy

LIMITS = Limits(cpu_seconds=10, wall_seconds=300, memory_mb=256, output_bytes=10_000)


def _run(sandbox: LocalSandbox, code: str, limits: Limits = LIMITS) -> str:
    execution = sandbox.run_blocking(Program(textwrap.dedent(code)), limits)
    assert execution.verdict == "ok", execution
    return execution.output


REFUSED = """
try:
    {}
except (OSError, ValueError):
    print("refused")
else:
    print("ALLOWED")
"""


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import socket; socket.create_connection(('127.0.0.1', 22), 1)",
        "open('/etc/passwd')",
        "open('/proc/self/environ')",
        "open('/proc/1/environ')",
        "import os; os.listdir('/home')",
        "import os; os.listdir('/proc/1/fd')",
        f"open({str(ROOT / 'README.md')!r})",
        f"open({str(Path(sysconfig.get_path('stdlib')) / 'os.py')!r}, 'a')",
        f"open({str(Path(sysconfig.get_path('stdlib')) / 'new.py')!r}, 'w')",
        "open('/new', 'w')",
        "import os; os.mkdir('/usr/lib/new')",
        "import os; os.setuid(0) if os.getuid() else os.setuid(1)",
        "import os; os.kill(os.getppid(), 0)" if os.getuid() else "import os; os.kill(1, 9); os.kill(os.getppid(), 9)",
        "import os; os.chroot('/tmp')",
        "import os; os.memfd_create('x')",
        "import os; os.setxattr('.', 'user.x', b'1')",
        "import os; os.setpriority(os.PRIO_PROCESS, 0, -5)",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "import ctypes; raise OSError if ctypes.CDLL(None).ptrace(16, 1, 0, 0) < 0 else SystemExit",
        "import ctypes; raise OSError if ctypes.CDLL(None).unshare(0x10000000) < 0 else SystemExit",
        "import ctypes; raise OSError if ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, 0) < 0 else SystemExit",
        "import ctypes; raise OSError if ctypes.CDLL(None).shmget(1, 4096, 0o1666) < 0 else SystemExit",
    ],
)
def test_refused(isolated: LocalSandbox, attempt: str) -> None:
    assert _run(isolated, REFUSED.format(attempt)) == "refused\n"


def test_attempts_succeed_outside(tmp_path: Path) -> None:
    """The test above can fail: outside the sandbox these attempts succeed."""
    allowed = [
        "import socket; socket.socket()",
        "open('/proc/self/environ')",
        f"open({str(ROOT / 'README.md')!r})",
        "import os; os.memfd_create('x')",
    ]
    for attempt in allowed:
        done = subprocess.run(
            [sys.executable, "-c", REFUSED.format(attempt)], capture_output=True, text=True, cwd=tmp_path, check=True
        )
        assert done.stdout == "ALLOWED\n", attempt


def test_program_sees_a_python_and_an_empty_folder(namespaces: LocalSandbox) -> None:
    seen = _run(namespaces, "import os\nprint(sorted(os.listdir('/')), os.listdir('.'), os.getcwd())")
    config = Isolation("namespaces").configure(ROOT, ())
    roots = {path.split("/")[1] for path in (*config["readable"], config["own_work"], "/dev", "/proc")}
    assert seen == f"{sorted(roots)} [] {config['own_work']}\n"


def test_no_environment_variables_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    search = """
        import ctypes
        found = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
        index = 0
        while found[index]:
            print(found[index])
            index += 1
    """
    sandbox = LocalSandbox(workers=1)
    try:
        assert "secret" not in _run(sandbox, "import os; print(dict(os.environ))")
        assert "secret" not in _run(sandbox, search)
    finally:
        sandbox.close()


def test_no_descriptors_except_the_standard_streams(isolated: LocalSandbox) -> None:
    code = """
        import os
        def isopen_sandbox(number):
            try:
                os.fstat(number)
            except OSError:
                return False
            return True
        print([number for number in range(300) if isopen_sandbox(number)])
    """
    assert _run(isolated, code) == "[0, 1, 2]\n"


def test_no_signal_is_blocked(isolated: LocalSandbox) -> None:
    assert _run(isolated, "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []))") == "set()\n"


def test_nothing_is_left_for_the_next_program() -> None:
    leave = """
        import os
        os.makedirs("a/b/c")
        for n in range(50):
            open(f"a/b/{n}", "w").write("x" * 1000)
        os.symlink("/etc", "link")
        os.chmod("a/b", 0)
        os.chmod("a", 0)
        os.chmod(".", 0o711) if os.stat(".").st_uid == os.getuid() else None
    """
    look = "import os\nprint(os.listdir('.'), oct(os.stat('.').st_mode))"
    one = LocalSandbox(workers=1)
    try:
        fresh = _run(one, look)
        for _ in range(3):
            _run(one, leave)
            assert _run(one, look) == fresh
    finally:
        one.close()


@pytest.mark.parametrize("kind", ["landlock", "weak"])
def test_cleaning_up_does_not_follow_links(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir(mode=0o755)
    (tmp_path / "kept" / "file").write_text("kept")
    leave = f"""
        import os
        os.makedirs("a/b")
        os.symlink({str(tmp_path / "kept")!r}, "a/b/link")
        os.symlink({str(tmp_path / "kept" / "file")!r}, "a/b/other")
        os.symlink({str(tmp_path / "kept")!r}, "link")
        try:
            os.chmod("a/b", 0o500)
            os.chmod("a", 0o500)
        except PermissionError:
            assert {kind!r} == "landlock"
    """
    one = LocalSandbox(workers=1, kind=kind, isolation="weak")
    try:
        one.run_blocking(Program(""))
    except SandboxError as error:
        pytest.skip(str(error))
    try:
        before = (tmp_path / "kept").stat().st_mode, (tmp_path / "kept" / "file").stat().st_mode
        _run(one, leave)
        assert _run(one, "import os; print(os.listdir('.'))") == "[]\n"
        assert ((tmp_path / "kept").stat().st_mode, (tmp_path / "kept" / "file").stat().st_mode) == before
    finally:
        one.close()


def test_program_does_not_see_concurrent_programs(namespaces: LocalSandbox) -> None:
    code = """
        import os, time
        open(str(os.getpid()), "w")
        time.sleep(0.3)
        pids = []
        for pid in range(1, 1000):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                continue
            except PermissionError:
                pass
            pids.append(pid)
        print(len(os.listdir(".")), [pid for pid in pids if pid not in (1, os.getpid())])
    """
    programs = [Program(textwrap.dedent(code))] * 2
    executions = asyncio.run(namespaces.run_many(programs, LIMITS))
    assert [each.output for each in executions] == ["1 []\n"] * 2


def test_signal_to_all_reaches_no_other_program(namespaces: LocalSandbox) -> None:
    """A process group extends across namespaces, so each worker must have a separate one."""
    killer = "import os\nfor each in (0, -1):\n    try:\n        os.kill(each, 9)\n    except OSError:\n        pass"
    bystander = "import time\ntime.sleep(0.2)\nprint('alive')"
    programs = [Program(code) for _ in range(10) for code in (killer, bystander)]
    executions = asyncio.run(namespaces.run_many(programs, LIMITS))
    assert [each.output for each in executions[1::2]] == ["alive\n"] * 10
    assert {each.verdict for each in executions[::2]} == {"killed"}


def test_processes_are_limited_and_ended(namespaces: LocalSandbox) -> None:
    bomb = """
        import os, time
        count = 0
        try:
            while True:
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(1000)
                count += 1
        except OSError:
            print(count)
    """
    assert int(_run(namespaces, bomb, replace(LIMITS, processes=8))) == 7
    assert _run(namespaces, "import os\ntry:\n    os.kill(-1, 0)\nexcept ProcessLookupError:\n    print('alone')") == "alone\n"


def test_processes_share_the_limits(namespaces: LocalSandbox) -> None:
    spin = "import os\nfor _ in range(4):\n    os.fork()\nwhile True: pass"
    assert namespaces.run_blocking(Program(spin), replace(LIMITS, cpu_seconds=1)).verdict == "timeout"
    hoard = "import os, time\nfor _ in range(3):\n    os.fork()\nx = bytearray(100_000_000)\ntime.sleep(1000)"
    assert namespaces.run_blocking(Program(hoard), LIMITS).verdict == "memory"


def test_size_of_the_folder_is_limited(namespaces: LocalSandbox) -> None:
    code = """
        written = 0
        try:
            for n in range(100):
                written += open(str(n), "wb").write(bytes(10_000_000))
        except OSError:
            print(written < 100_000_000)
    """
    assert _run(namespaces, code) == "True\n"


def test_description_names_what_is_in_force(isolated: LocalSandbox) -> None:
    rows = dict(isolated.describe())
    assert rows["isolation"] in ("namespaces", "Landlock and seccomp")
    assert rows["system calls"] == "seccomp filter"


@pytest.mark.parametrize(("version", "missing"), [(1, 5), (2, 4), (3, 3), (5, 1), (6, 0), (9, 0)])
def test_description_of_older_kernels(version: int, missing: int) -> None:
    described = describe_landlock(version)
    assert described.startswith(f"yes, ABI {version}")
    assert described.count("(") == missing


def test_description_of_a_kernel_without_landlock() -> None:
    assert describe_landlock(0).startswith("no; ")


def test_machine_without_isolation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> bytes:
        raise NoFilterError("libseccomp.so.2 was not found")

    monkeypatch.setattr(isolation, "compile_filter", refuse)
    strong = LocalSandbox(workers=1)
    with pytest.raises(SandboxError, match=r"no sound isolation .*libseccomp.*`sandbox: \{isolation: weak\}`"):
        strong.run_blocking(Program("print(1)"))
    strong.close()


def test_weak_isolation_on_request() -> None:
    weak = LocalSandbox(workers=1, kind="weak", isolation="weak")
    try:
        assert _run(weak, "print(1)") == "1\n"
        assert dict(weak.describe())["isolation"].startswith("WEAK")
        leave = "import os, time\npid = os.fork()\nif pid == 0:\n    os.setsid()\n    time.sleep(1000)\nprint(pid)"
        assert not psutil.pid_exists(int(_run(weak, leave)))
    finally:
        weak.close()


NO_NAMESPACES = """
import errno, sys
sys.path.insert(0, sys.argv[1])
import pyseccomp
rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
for name in ("unshare", "mount", "pivot_root", "setns"):
    rules.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
rules.load()
from rewards.sandbox import Program
from rewards.sandbox.local.sandbox import LocalSandbox
sandbox = LocalSandbox(workers=1)
print(sandbox.run_blocking(Program("print(1)")).output, dict(sandbox.describe()))
sandbox.close()
"""


def test_container_without_namespaces() -> None:
    open_sandbox("landlock").close()
    done = subprocess.run([sys.executable, "-c", NO_NAMESPACES, str(ROOT)], capture_output=True, text=True, check=False)
    assert "Landlock and seccomp" in done.stdout, done.stderr
    assert "'unavailable': 'namespaces: unshare: Operation not permitted'" in done.stdout


AS_USER = """
import os, sys
os.setgroups([]); os.setresgid(4321, 4321, 4321); os.setresuid(4321, 4321, 4321)
sys.path.insert(0, sys.argv[1])
from rewards.sandbox import Limits, Program
from rewards.sandbox.local.sandbox import LocalSandbox
sandbox = LocalSandbox(workers=1)
print(sandbox.run_blocking(Program("import os; print(os.getuid())")).output)
bomb = "import os, time\\nfor n in range(100):\\n    try: os.fork() or time.sleep(1000)\\n    except OSError: break\\nprint(n)"
print(sandbox.run_blocking(Program(bomb), Limits(processes=5, cpu_seconds=60, wall_seconds=300)).output)
print(dict(sandbox.describe())["isolation"])
sandbox.close()
"""


@pytest.mark.skipif(
    os.getuid() != 0, reason="only root can become another user; as an ordinary user all other tests cover this"
)
def test_as_ordinary_user() -> None:
    open_sandbox("namespaces").close()
    with public_copy() as folder:
        environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}
        command = [find_public_python(), "-c", AS_USER, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=False)
    assert done.stdout.split() == ["1000", "4", "namespaces"], done.stderr


def test_package_in_the_programs_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a virtual environment in /tmp, programs have their empty folder elsewhere."""
    open_sandbox("namespaces").close()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        (Path(name) / "mine.py").write_text("VALUE = 7\n")
        monkeypatch.syspath_prepend(name)
        sandbox = LocalSandbox(workers=1, imports=("mine",), kind="namespaces")
        try:
            assert _run(sandbox, "import mine, os; print(mine.VALUE, os.getcwd() != '/tmp', os.listdir('.'))") == "7 True []\n"
            assert _run(sandbox, "import os, tempfile; print(tempfile.mkdtemp().startswith(os.getcwd()))") == "True\n"
        finally:
            sandbox.close()
