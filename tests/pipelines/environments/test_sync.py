"""Building, repairing and leaving alone, on a project so small that a whole build takes a second."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pipelines.environments import environment
from tests.pipelines.environments.toy import REPOSITORY, Toy

PHASES = ["fetching the source", "making the environment", "installing torch", "installing 2 packages", "editable", "compiling"]


def test_a_sync_builds_and_a_second_one_does_nothing(toy: Toy) -> None:
    status, said = toy.sync(TOY_SETTINGS="")
    assert status == 0, said
    assert toy.imports() == "1.0 2.0+cpu 1.0"
    assert said.rstrip().endswith(str(toy.python))
    assert [phase for phase in PHASES if phase not in said] == []
    before = (toy.directory / ".pipeline.json").stat().st_mtime_ns

    status, said = toy.sync()
    assert (status, said) == (0, f"{toy.python}\n")
    assert (toy.directory / ".pipeline.json").stat().st_mtime_ns == before


def test_nothing_to_do_starts_no_process_and_takes_milliseconds(toy: Toy) -> None:
    assert toy.sync()[0] == 0
    environment("verl", "cpu", root=toy.root).is_ready()
    began = time.perf_counter()
    built = environment("verl", "cpu", root=toy.root)
    assert built.is_ready()
    assert time.perf_counter() - began < 0.02
    assert built.source == toy.trainer / "checkout"


def test_killed_in_every_phase_the_next_sync_repairs_it(toy: Toy) -> None:
    for phase in PHASES:
        process = toy.start()
        assert process.stdout is not None
        with process:
            reached = any(phase in line for line in process.stdout)
            process.kill()
        # That this phase is reached shows that what the kill before it left behind was repaired.
        assert reached, phase
        assert not environment("verl", "cpu", root=toy.root).is_ready()

    status, said = toy.sync()
    assert status == 0, said
    assert toy.imports() == "1.0 2.0+cpu 1.0"
    assert environment("verl", "cpu", root=toy.root).is_ready()
    # Nothing half-made stays behind.
    assert sorted(p.name for p in toy.trainer.iterdir()) == ["checkout", "cpu.txt", "environments", "pin.toml"]
    assert sorted(p.name for p in toy.directory.parent.iterdir()) == [".lock", "cpu", "cpu.log"]


def test_two_at_once_wait_for_each_other_say_so_and_build_once(toy: Toy) -> None:
    toy.directory.parent.mkdir()
    with (toy.directory.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        processes = [toy.start(), toy.start()]
        for process in processes:
            assert process.stdout is not None
            assert "waiting for another sync to end" in process.stdout.readline()
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert sum(text.count("making the environment") for text in said) == 1


def test_the_folder_stays_locked_while_a_command_of_a_killed_sync_still_runs(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from pipelines.environments.sync import _locked\n"
        "from pipelines.environments.build_command import run\n"
        "from pipelines.environments.progress import PlainProgress\n"
        "with _locked(Path(sys.argv[1]), 'verl', PlainProgress()) as held:\n"
        "    argv = [sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)']\n"
        "    run(argv, log=Path(sys.argv[2]), variables=os.environ, what='x', held=[held], watch=lambda l: print(l, flush=1))\n"
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


def test_a_changed_lock_builds_again_and_a_changed_pin_fetches_again(toy: Toy) -> None:
    assert toy.sync()[0] == 0
    digest = toy.wheel("helper", "2.0", "py3-none-any")
    text = toy.lock.read_text()
    toy.lock.write_text(f"helper==2.0 \\\n    --hash=sha256:{digest}\n" + text[text.index("torch==") :])
    assert environment("verl", "cpu", root=toy.root).unready() == "lock changed"
    assert toy.sync()[0] == 0
    assert toy.imports() == "1.0 2.0+cpu 2.0"

    toy.pin(toy.archive("1.1"), "1.1")
    status, said = toy.sync()
    assert status == 0, said
    assert toy.imports() == "1.1 2.0+cpu 2.0"


def test_edits_in_the_checkout_are_kept_by_a_sync_and_not_replaced_by_another_pin(toy: Toy) -> None:
    assert toy.sync()[0] == 0
    edited = toy.trainer / "checkout" / "toy" / "__init__.py"
    edited.write_text('__version__ = "mine"\n')
    assert toy.sync()[0] == 0
    assert toy.imports().startswith("mine ")

    toy.pin(toy.archive("1.1"), "1.1")
    status, said = toy.sync()
    assert status == 1
    assert "has edits (toy/__init__.py) that toy 1.1 would replace" in said
    assert edited.read_text() == '__version__ = "mine"\n'


def test_a_package_that_cannot_be_had_is_one_line_that_names_it(toy: Toy) -> None:
    (toy.wheels / "helper-1.0-py3-none-any.whl").unlink()
    status, said = toy.sync()
    assert status == 1
    [line] = [line for line in said.splitlines() if line.startswith("error:")]
    assert said.rstrip().endswith(line)
    assert "verl cpu: cannot install its packages" in line
    assert "helper" in line
    assert str(toy.directory.parent / "cpu.log") in line


def test_a_file_with_another_hash_is_refused(toy: Toy) -> None:
    text = toy.lock.read_text()
    digest = text.split("sha256:")[1].split("\n")[0]
    toy.lock.write_text(text.replace(digest, "0" * 64))
    status, said = toy.sync()
    assert status == 1
    assert "Hash mismatch for `helper==1.0`" in said
    assert not environment("verl", "cpu", root=toy.root).is_ready()


def test_a_source_archive_with_another_hash_is_refused_and_nothing_is_unpacked(toy: Toy) -> None:
    toy.pin("0" * 64)
    status, said = toy.sync()
    assert status == 1
    assert "is not the pinned one: its sha256 is" in said
    assert not (toy.trainer / "checkout").exists()


def test_the_source_may_come_from_git_by_its_tag(toy: Toy) -> None:
    status, said = toy.sync(TOY_SOURCE="git")
    assert status == 1
    assert f"toy v1 cannot be cloned from {toy.repository}" in said

    shutil.copytree(toy.wheels.parent / "toy-1.0", toy.repository)
    (toy.repository / "toy" / "__init__.py").write_text('__version__ = "tagged"\n')
    git = ["git", "-C", str(toy.repository), "-c", "user.name=toy", "-c", "user.email=toy@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"], ["tag", "v1"]):
        subprocess.run([*git, *arguments], check=True)
    status, said = toy.sync(TOY_SOURCE="git")
    assert status == 0, said
    assert toy.imports().startswith("tagged ")
    # Which source it came from is only asked where it is said.
    assert toy.sync() == (0, f"{toy.python}\n")


def test_environments_may_lie_on_another_disk(toy: Toy, tmp_path: Path) -> None:
    elsewhere = tmp_path / "big disk"
    status, said = toy.sync(PIPELINE_ENVIRONMENTS=str(elsewhere))
    assert status == 0, said
    assert (elsewhere / "verl" / "cpu" / "bin" / "python").exists()
    assert not toy.directory.exists()


def test_a_folder_that_is_no_environment_is_left_alone(toy: Toy) -> None:
    toy.directory.mkdir(parents=True)
    (toy.directory / "thesis.txt").write_text("mine")
    status, said = toy.sync()
    assert status == 1
    assert "is not a virtual environment" in said
    assert (toy.directory / "thesis.txt").read_text() == "mine"


def test_a_checkout_that_is_gone_is_fetched_again_without_building_again(toy: Toy) -> None:
    assert toy.sync()[0] == 0
    shutil.rmtree(toy.trainer / "checkout")
    assert environment("verl", "cpu", root=toy.root).unready() == "its checkout is gone"
    status, said = toy.sync()
    assert status == 0
    assert "making the environment" not in said
    assert toy.imports() == "1.0 2.0+cpu 1.0"
