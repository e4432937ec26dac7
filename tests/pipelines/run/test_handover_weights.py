"""Which files of an initial model a hand-over compares with."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.run.handover import HandoverRefused, _find_weights


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["model.safetensors", "config.json"], ["model.safetensors"]),
        (["pytorch_model.bin", "training_args.bin"], ["pytorch_model.bin"]),
        (["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"], None),
        (["pytorch_model.bin", "model.safetensors"], ["model.safetensors"]),
    ],
)
def test_weights_of_a_folder(tmp_path: Path, files: list[str], found: list[str] | None) -> None:
    for file in files:
        (tmp_path / file).touch()
    assert [path.name for path in _find_weights(str(tmp_path))] == (found or files)


def test_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "training_args.bin").touch()
    with pytest.raises(HandoverRefused, match=r"the initial model, has neither \*\.safetensors nor pytorch_model\*\.bin files"):
        _find_weights(str(tmp_path))
