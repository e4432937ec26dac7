"""Files of checkpoints that were not written to their end, as torch and safetensors write them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from pipelines.trainers.checkpoint_files import find_damage


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    header = json.dumps(
        {"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    ).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    for name in (
        "optimizer.pt",
        "actor/model_world_size_2_rank_0.pt",
        "actor/model_world_size_2_rank_1.pt",
        "training_args.bin",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("archive/data/0", bytes(64))
    (tmp_path / "old.pth").write_bytes(b"\x80\x02}q\x00.")  # torch's format before 1.6
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "merges.txt").touch()
    return tmp_path


def test_a_complete_checkpoint(folder: Path) -> None:
    assert find_damage(folder) is None


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.pt", "training_args.bin", "config.json", "actor/model_world_size_2_rank_1.pt"]
)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_is_cut_off(folder: Path, name: str, share: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(len(content) * share)])
    assert find_damage(folder) == f"{name} is cut off"


def test_a_file_of_zeros(folder: Path) -> None:
    """A file system may keep the length of a file and lose its content."""
    (folder / "old.pth").write_bytes(bytes(100))
    assert find_damage(folder) == "old.pth is cut off"


def test_a_missing_rank(folder: Path) -> None:
    (folder / "actor/model_world_size_2_rank_1.pt").unlink()
    assert find_damage(folder) == "actor/model_world_size_2_rank_1.pt is missing"
