"""Atomic writes and cached digests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.digests import Digests, write_atomically
from pipelines.errors import StepError


def test_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert [each.name for each in path.parent.iterdir()] == ["b.json"], "no temporary file stays"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.mkdir()  # a file cannot replace a folder
    (path / "old").touch()
    with pytest.raises(StepError, match=r"cannot write .*record.json: Is a directory; the old file is unchanged"):
        write_atomically(path, "new")
    assert [each.name for each in tmp_path.rglob("*")] == ["record.json", "old"]


FULL_DISK = """
import sys
from pathlib import Path
from pipelines.errors import StepError
from pipelines.digests import write_atomically
disk = Path(sys.argv[1])
write_atomically(disk / "record.json", "old")
(disk / "filler").write_bytes(b"x" * (disk_size := 60 * 1024))
try:
    write_atomically(disk / "record.json", "y" * 100_000)
except StepError as error:
    print(error)
print((disk / "record.json").read_text(), sorted(p.name for p in disk.iterdir()))
"""


def test_a_full_disk_is_one_line_and_harms_nothing(tmp_path: Path) -> None:
    """A full disk: a memory file system of 128 kB in a new mount namespace."""
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*namespace, "true"], capture_output=True).returncode:
        pytest.skip("this machine gives no user namespace to mount a small disk in")
    script = 'mount -t tmpfs -o size=128k none "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        [*namespace, "sh", "-c", script, "sh", str(tmp_path), sys.executable, FULL_DISK], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said, left = done.stdout.strip().splitlines()
    assert said == f"cannot write {tmp_path}/record.json: No space left on device; the old file is unchanged"
    assert left == "old ['filler', 'record.json']"


def test_digests_see_content_names_and_absence(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    digests = Digests(tmp_path / "memory.json")
    before = digests.of(folder)
    assert before is not None and digests.of(tmp_path / "nothing") is None
    (folder / "a").rename(folder / "b")
    renamed = Digests(tmp_path / "memory.json").of(folder)
    assert renamed != before
    (folder / "b").write_text("2")
    assert Digests(tmp_path / "memory.json").of(folder) not in (before, renamed)


def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("1")
    digests = Digests(tmp_path / "memory.json")
    first = digests.of(path)
    digests.save()
    path.chmod(0)  # were it read again as an ordinary user, this would fail; and the memory below is what is asked
    memory = (tmp_path / "memory.json").read_text()
    (tmp_path / "memory.json").write_text(memory.replace(str(first), "remembered"))
    assert Digests(tmp_path / "memory.json").of(path) == "remembered"


@pytest.mark.parametrize("text", ["[]", "{", '{"/a": {"size": 1}}', '{"/a": 3}', '{"/a": []}'])
def test_unreadable_memory_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "memory.json").write_text(text)
    (tmp_path / "file").write_text("1")
    assert Digests(tmp_path / "memory.json").of(tmp_path / "file") is not None
