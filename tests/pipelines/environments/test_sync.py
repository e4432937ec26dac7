"""Build, repair and skip, on a project so small that a whole build takes a few seconds."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pipelines.environments import environment
from pipelines.environments.ask import ask
from tests.pipelines.environments.toy import REPOSITORY, Toy

pytestmark = pytest.mark.slow

PHASES = [
    "downloading the source",
    "creating the environment",
    "installing torch",
    "installing 2 packages",
    "editable",
    "compiling",
]


def test_a_second_sync_does_nothing(toy: Toy) -> None:
    status, output = toy.sync(TOY_SETTINGS="")
    assert status == 0, output
    assert toy.imports() == "1.0 2.0+cpu 1.0"
    assert output.rstrip().endswith(str(toy.python))
    assert [phase for phase in PHASES if phase not in output] == []
    before = (toy.directory / ".pipeline.json").stat().st_mtime_ns

    status, output = toy.sync()
    assert (status, output) == (0, f"{toy.python}\n")
    assert (toy.directory / ".pipeline.json").stat().st_mtime_ns == before


def test_garbage_is_collected_less_often_on_a_cpu(toy: Toy) -> None:
    assert toy.sync()[0] == 0
    asked = subprocess.run([toy.python, "-c", "import gc; print(gc.get_threshold()[0])"], capture_output=True, text=True)
    assert asked.stdout == "20000\n"


def test_checking_an_environment_starts_no_process(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert toy.sync()[0] == 0

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    built = environment("verl", "cpu", root=toy.root)
    assert built.is_ready()
    assert built.pin.checkout == toy.trainer / "checkout"


def test_sync_repairs_a_sync_killed_in_any_phase(toy: Toy) -> None:
    for phase in PHASES:
        process = toy.start()
        assert process.stdout is not None
        with process:
            reached = any(phase in line for line in process.stdout)
            process.kill()
        # Reaching this phase shows that the state after the previous kill was repaired.
        assert reached, phase
        assert not environment("verl", "cpu", root=toy.root).is_ready()

    status, output = toy.sync()
    assert status == 0, output
    assert toy.imports() == "1.0 2.0+cpu 1.0"
    assert environment("verl", "cpu", root=toy.root).is_ready()
    # No temporary files remain.
    assert sorted(p.name for p in toy.trainer.iterdir()) == ["checkout", "cpu.txt", "environments", "pin.toml"]
    assert sorted(p.name for p in toy.directory.parent.iterdir()) == [".lock", "cpu", "cpu.log"]


def test_concurrent_syncs_build_once(toy: Toy) -> None:
    toy.directory.parent.mkdir()
    with (toy.directory.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        processes = [toy.start(), toy.start()]
        for process in processes:
            assert process.stdout is not None
            assert "waiting for another sync to end" in process.stdout.readline()
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum(text.count("creating the environment") for text in outputs) == 1


def test_a_running_command_of_a_killed_sync_holds_the_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from pipelines.environments.sync import _locked\n"
        "from pipelines.environments.build_command import run\n"
        "from pipelines.environments.build_command import Commands\n"
        "with _locked(Path(sys.argv[1]), None, Commands()) as lock:\n"
        "    argv = [sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(600)']\n"
        "    run(argv, log=Path(sys.argv[2]), variables=os.environ, what='x', lock=lock, watch=lambda l: print(l, flush=1))\n"
    )
    lock, log = tmp_path / "lock", tmp_path / "log"
    argv = [sys.executable, "-c", code, str(lock), str(log)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    assert process.stdout is not None
    with process:
        orphan = int(process.stdout.readline())
        process.kill()
    try:
        with lock.open("rb") as file:
            with pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.kill(orphan, signal.SIGKILL)
            fcntl.flock(file, fcntl.LOCK_EX)
    finally:
        with suppress(ProcessLookupError):
            os.kill(orphan, signal.SIGKILL)


def test_a_changed_lock_rebuilds_and_a_changed_pin_downloads(toy: Toy) -> None:
    assert toy.sync()[0] == 0
    digest = toy.wheel("helper", "2.0", "py3-none-any")
    text = toy.lock.read_text()
    toy.lock.write_text(f"helper==2.0 \\\n    --hash=sha256:{digest}\n" + text[text.index("torch==") :])
    assert environment("verl", "cpu", root=toy.root).why_not_ready() == "lock changed"
    assert toy.sync()[0] == 0
    assert toy.imports() == "1.0 2.0+cpu 2.0"

    toy.pin(toy.archive("1.1"), "1.1")
    status, output = toy.sync()
    assert status == 0, output
    assert toy.imports() == "1.1 2.0+cpu 2.0"


def test_edits_in_the_checkout_are_not_lost(toy: Toy) -> None:
    assert toy.sync()[0] == 0
    edited = toy.trainer / "checkout" / "toy" / "__init__.py"
    edited.write_text('__version__ = "mine"\n')
    assert toy.sync()[0] == 0
    assert toy.imports().startswith("mine ")

    toy.pin(toy.archive("1.1"), "1.1")
    status, output = toy.sync()
    assert status == 1
    assert "has edits (toy/__init__.py) that toy 1.1 would replace" in output
    assert edited.read_text() == '__version__ = "mine"\n'


def test_a_missing_package_is_one_line_that_names_it(toy: Toy) -> None:
    (toy.wheels / "helper-1.0-py3-none-any.whl").unlink()
    status, output = toy.sync()
    assert status == 1
    [line] = [line for line in output.splitlines() if line.startswith("error:")]
    assert output.rstrip().endswith(line)
    assert "verl cpu: cannot install its packages" in line
    assert "helper" in line
    assert str(toy.directory.parent / "cpu.log") in line


def test_a_file_with_another_hash_is_refused(toy: Toy) -> None:
    text = toy.lock.read_text()
    digest = text.split("sha256:")[1].split("\n")[0]
    toy.lock.write_text(text.replace(digest, "0" * 64))
    status, output = toy.sync()
    assert status == 1
    assert "Hash mismatch for `helper==1.0`" in output
    assert not environment("verl", "cpu", root=toy.root).is_ready()


def test_a_source_archive_with_another_hash_is_refused(toy: Toy) -> None:
    digest = toy.archive("1.1")
    toy.pin("0" * 64, "1.1")
    status, output = toy.sync()
    assert status == 1
    expected = (
        f"toy 1.1: its source archive is not the pinned one: its sha256 is {digest}, {toy.trainer}/pin.toml has {'0' * 64}"
    )
    assert output.splitlines()[-1] == f"error: {expected}"
    assert not (toy.trainer / "checkout").exists()


def test_a_missing_source_archive_is_one_line(toy: Toy) -> None:
    (toy.wheels / "toy-1.0.tar.gz").unlink()
    status, output = toy.sync()
    assert status == 1
    log = toy.directory.parent / "cpu.log"
    reason = "its source archive cannot be downloaded: No matching distribution found for toy==1.0"
    assert output.splitlines()[-1] == f"error: toy 1.0: {reason} (full log: {log})"


def test_an_unreachable_registry_is_one_line(toy: Toy) -> None:
    status, output = toy.sync(PIP_NO_INDEX="", PIP_FIND_LINKS="", PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="1")
    assert status == 1
    line = output.splitlines()[-1]
    assert line.startswith("error: toy 1.0: its source archive cannot be downloaded: ")
    assert "Connection refused" in line


def test_the_source_may_come_from_git_by_its_tag(toy: Toy) -> None:
    status, output = toy.sync(TOY_SOURCE="git")
    assert status == 1
    assert f"toy v1 cannot be cloned from {toy.repository}" in output

    shutil.copytree(toy.wheels.parent / "toy-1.0", toy.repository)
    (toy.repository / "toy" / "__init__.py").write_text('__version__ = "tagged"\n')
    git = ["git", "-C", str(toy.repository), "-c", "user.name=toy", "-c", "user.email=toy@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"], ["tag", "v1"]):
        subprocess.run([*git, *arguments], check=True)
    status, output = toy.sync(TOY_SOURCE="git")
    assert status == 0, output
    assert toy.imports().startswith("tagged ")
    # By default a checkout from either source is kept.
    assert toy.sync() == (0, f"{toy.python}\n")


def test_environments_may_be_on_another_disk(toy: Toy, tmp_path: Path) -> None:
    elsewhere = tmp_path / "big disk"
    status, output = toy.sync(PIPELINE_ENVIRONMENTS=str(elsewhere))
    assert status == 0, output
    assert (elsewhere / "verl" / "cpu" / "bin" / "python").exists()
    assert not toy.directory.exists()


def test_a_folder_that_is_not_an_environment_is_not_replaced(toy: Toy) -> None:
    toy.directory.mkdir(parents=True)
    (toy.directory / "thesis.txt").write_text("mine")
    status, output = toy.sync()
    assert status == 1
    assert "is not a virtual environment" in output
    assert (toy.directory / "thesis.txt").read_text() == "mine"


def test_a_missing_checkout_is_downloaded_without_a_rebuild(toy: Toy) -> None:
    assert toy.sync()[0] == 0
    shutil.rmtree(toy.trainer / "checkout")
    assert environment("verl", "cpu", root=toy.root).why_not_ready() == "its checkout is missing"
    status, output = toy.sync()
    assert status == 0
    assert "creating the environment" not in output
    assert toy.imports() == "1.0 2.0+cpu 1.0"


def test_an_installed_package_builds_in_the_cache(toy: Toy, tmp_path: Path) -> None:
    (toy.root / "pyproject.toml").unlink()  # not a checkout
    status, output = toy.sync(XDG_CACHE_HOME=str(tmp_path / "home"))
    assert status == 0, output
    built = tmp_path / "home" / "code-post-training" / version("code-post-training") / "verl"
    python = built / "environments" / "cpu" / "bin" / "python"
    assert output.rstrip().endswith(str(python))
    assert sorted(path.name for path in toy.trainer.iterdir()) == ["cpu.txt", "pin.toml"]
    files = ask(python, ["-I", "-c", "import json, pipelines, toy; print(json.dumps([pipelines.__file__, toy.__file__]))"])
    assert files == [str(REPOSITORY / "pipelines" / "__init__.py"), str(built / "checkout" / "toy" / "__init__.py")]
    assert toy.sync(XDG_CACHE_HOME=str(tmp_path / "home")) == (0, f"{python}\n")
