"""The groups of workers: where they are made, and that none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rewards.sandbox import Program
from rewards.sandbox.local import LocalSandbox
from rewards.sandbox.local.inside import cgroup
from tests import ROOT
from tests.rewards.sandbox.local.conftest import find_template, open_sandbox
from tests.rewards.sandbox.public import find_public_python, public_copy
from tests.waiting import wait_until

V2 = "36 25 0:31 {root} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "36 25 0:31 {root} /sys/fs/cgroup/{name} rw,relatime - cgroup cgroup rw,{name}"


@pytest.mark.parametrize(
    ("groups", "mounts", "expected"),
    [
        ("0::/user.slice/a.scope", [V2.format(root="/")], [("v2", "/sys/fs/cgroup/user.slice/a.scope")]),
        # A container with a namespace, one without, and one that shows another part of the hierarchy.
        ("0::/", [V2.format(root="/")], [("v2", "/sys/fs/cgroup")]),
        ("0::/docker/a/b", [V2.format(root="/docker/a")], [("v2", "/sys/fs/cgroup/b")]),
        ("0::/docker/a", [V2.format(root="/docker/b")], []),
        ("0::/../a", [V2.format(root="/")], []),
        ("0::/", [V2.format(root="/..")], []),
        (
            "4:memory:/a\n3:cpu,cpuacct:/\n1:name=systemd:/\n0::/",
            [V1.format(root="/", name="cpu,cpuacct"), V1.format(root="/", name="memory"), V1.format(root="/", name="pids")],
            [("cpuacct", "/sys/fs/cgroup/cpu,cpuacct"), ("memory", "/sys/fs/cgroup/memory/a")],
        ),
        ("", [], []),
    ],
)
def test_own_groups_are_found(groups: str, mounts: list[str], expected: list[cgroup.Folder]) -> None:
    assert cgroup.parse(f"{groups}\n", "\n".join(["21 25 0:20 / /proc rw - proc proc rw", *mounts, ""])) == expected


@pytest.fixture(params=["namespaces", "landlock"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[LocalSandbox]:
    opened = open_sandbox(request.param)
    yield opened
    opened.close()


def _find_groups(template: psutil.Process) -> list[Path]:
    """Return the folders of the groups of a template's workers."""
    names = set()
    for each in template.children(recursive=True):
        try:
            lines = Path(f"/proc/{each.pid}/cgroup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        names |= {line.rpartition("/")[2] for line in lines if line.rpartition("/")[2].startswith(cgroup._PREFIX)}
    found = [Path(folder, name) for _, folder in cgroup.find() for name in names]
    found = [path for path in found if path.exists()]
    if not found:
        pytest.skip("no cgroup can be made here")
    return found


def _has_processes(group: Path) -> bool:
    try:
        return bool((group / "cgroup.procs").read_text())
    except OSError:  # another sandbox that was starting has removed it
        return False


def _is_removed(*groups: Path) -> bool:
    return not any(path.exists() for path in groups)


def test_groups_are_removed_at_the_end(sandbox: LocalSandbox) -> None:
    groups = _find_groups(find_template(sandbox))
    sandbox.close()
    assert _is_removed(*groups)


def test_groups_of_a_killed_worker_are_removed(sandbox: LocalSandbox) -> None:
    template = find_template(sandbox)
    groups = _find_groups(template)
    for worker in template.children():
        worker.kill()
    wait_until(lambda: _is_removed(*groups))
    assert template.is_running()


def test_groups_of_a_killed_template_are_removed_by_the_next(sandbox: LocalSandbox) -> None:
    template = find_template(sandbox)
    groups, family = _find_groups(template), template.children(recursive=True)
    template.kill()
    psutil.wait_procs(family, timeout=120)
    wait_until(lambda: not any(map(_has_processes, groups)))
    assert sandbox.run_blocking(Program("print(1)")).output == "1\n"
    assert _is_removed(*groups)
    assert not _is_removed(*_find_groups(find_template(sandbox)))


CLIENT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from rewards.sandbox import Program
from rewards.sandbox.local.sandbox import LocalSandbox
sandbox = LocalSandbox(workers=1, kind=sys.argv[2])
sandbox.run_blocking(Program(""))
print(sandbox._pool._template.pid, flush=True)
sandbox.run_blocking(Program("import time\\ntime.sleep(600)"))
"""


@pytest.mark.parametrize("kind", ["namespaces", "landlock"])
def test_groups_of_a_killed_client_are_removed(kind: str) -> None:
    command = [sys.executable, "-c", CLIENT, str(ROOT), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as client:
        assert client.stdout is not None
        template = client.stdout.readline()
        try:
            groups = _find_groups(psutil.Process(int(template))) if template else []
        finally:
            client.send_signal(signal.SIGKILL)
            client.wait()
    if not template:
        pytest.skip(f"this machine has no {kind}")
    wait_until(lambda: _is_removed(*groups))


def test_groups_with_processes_stay(sandbox: LocalSandbox) -> None:
    groups = _find_groups(find_template(sandbox))
    cgroup.remove_abandoned(cgroup.find())
    assert all(path.exists() for path in groups)
    assert sandbox.run_blocking(Program("print(1)")).output == "1\n"


REMOVED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from rewards.sandbox.local.inside import cgroup
real, seen = os.open, set()
def remove_first(path, *rest):
    if path.endswith("cgroup.procs") and path not in seen:
        seen.add(path)
        os.rmdir(os.path.dirname(path))
    return real(path, *rest)
os.open = remove_first
name = cgroup.make_name()
counted = cgroup.Groups(cgroup.find(), name).counted
print(name, len(seen), *counted)
"""


def test_a_group_that_another_sandbox_removes_is_made_again(sandbox: LocalSandbox) -> None:
    _find_groups(find_template(sandbox))
    done = subprocess.run([sys.executable, "-c", REMOVED, str(ROOT)], capture_output=True, text=True, check=True)
    name, removed, *counted = done.stdout.split()
    cgroup.remove_all(cgroup.find(), [name])
    assert "cpu" in counted
    assert int(removed) > 0


AS_USER = """
import os, sys
os.setgroups([]); os.setresgid(4321, 4321, 4321); os.setresuid(4321, 4321, 4321)
sys.path.insert(0, sys.argv[1])
from rewards.sandbox import Limits, Program
from rewards.sandbox.local.inside import cgroup
from rewards.sandbox.local.sandbox import LocalSandbox
sandbox = LocalSandbox(workers=1)
spin = "import os\\nfor _ in range(4): os.fork()\\nwhile True: pass"
print(cgroup.find(), sandbox.run_blocking(Program(spin), Limits(cpu_seconds=0.5)).verdict)
print(dict(sandbox.describe())["CPU time counted"])
sandbox.close()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_user_who_may_make_no_groups_reads_proc() -> None:
    open_sandbox("namespaces").close()
    with public_copy() as folder:
        environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}
        command = [find_public_python(), "-c", AS_USER, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=False)
    assert done.stdout == "[] timeout\nall processes together, by /proc (no cgroup counts it)\n", done.stderr


ALONE = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from rewards.sandbox.local.inside import cgroup
def burn():
    begun = time.process_time()
    while time.process_time() - begun < 0.3: pass
name = cgroup.make_name()
groups = cgroup.Groups([each for each in cgroup.find() if each[0] == sys.argv[2]], name)
used = [groups.read_cpu()]
burn()
used.append(groups.read_cpu())
os.fork() or burn() or os._exit(0)
os.wait()
used.append(groups.read_cpu())
print(name, used[1] - used[0], used[2] - used[1])
"""


@pytest.mark.parametrize("kind", ["v2", "cpuacct"])
def test_the_time_of_the_worker_does_not_count(kind: str) -> None:
    if kind not in dict(cgroup.find()):
        pytest.skip(f"no cgroup of this kind can be made here: {kind}")
    done = subprocess.run([sys.executable, "-c", ALONE, str(ROOT), kind], capture_output=True, text=True, check=True)
    name, own, childs = done.stdout.split()
    cgroup.remove_all(cgroup.find(), [name])
    assert abs(float(own)) < 0.1
    assert 0.2 < float(childs) < 0.4


@pytest.mark.parametrize(
    ("kind", "names", "files"),
    [("v2", ("memory.current", "memory.stat"), "file"), ("memory", ("memory.usage_in_bytes", "memory.stat"), "cache")],
)
def test_memory_without_copies_of_files(
    kind: str, names: tuple[str, str], files: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "_enter", lambda path: True)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / names[0]).write_text("1000\n")
    (tmp_path / "own" / names[1]).write_text(f"anon 600\n{files} 300\nmapped_file 10\nshmem 200\n")
    groups = cgroup.Groups([(kind, str(tmp_path))], "own")
    assert groups.counted == {"memory": kind}
    assert groups.read_memory() == (700, 200)
    for each in groups._files["memory"]:
        os.close(each)


def test_programs_do_not_see_the_names_of_groups() -> None:
    opened = open_sandbox("namespaces")
    try:
        seen = opened.run_blocking(Program("print(open('/proc/self/cgroup').read(), end='')")).output.splitlines()
    finally:
        opened.close()
    assert {line.split(":", 2)[2] for line in seen} <= {"/"}
