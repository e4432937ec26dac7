"""Import of user files that contain rewards and converters, with their neighbouring files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from preprocess.converters.plugins import load_file as load_converters
from rewards.errors import one_line
from rewards.plugins.loading import list_rewards
from rewards.plugins.loading import load_file as load_rewards
from rewards.plugins.python_files import UserFileError, find_line, import_file

BOTH = """
from preprocess.converters.plugins import converter
from rewards.registry import register
from words import WORD

@register("mine")
def score(data_source, solution_str, ground_truth, extra_info):
    return float(WORD in solution_str)

@converter("mine", "rl")
def convert(record):
    return {"prompt": WORD, "ground_truth": record}
"""


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Return two folders with files of the same names."""
    made = [tmp_path / name for name in ("one", "two")]
    for folder in made:
        folder.mkdir()
        (folder / "mine.py").write_text(BOTH)
        (folder / "words.py").write_text(f"WORD = {folder.name!r}\n")
    return made


def test_file_with_a_reward_and_a_converter(folders: list[Path]) -> None:
    before = {reward.name for reward in list_rewards()}
    path = list(sys.path)
    rewards = [load_rewards(folder / "mine.py")["mine"] for folder in folders]
    for folder, reward in zip(folders, rewards, strict=True):
        (converter,) = load_converters(folder / "mine.py").values()
        assert reward.function("", folder.name, "", {}) == 1.0
        assert converter.rl is not None
        (row,) = converter.rl({}, converter.read_options({}))
        assert row.prompt[0].content == folder.name
    assert {reward.name for reward in list_rewards()} == before
    assert sys.path == path


def test_failed_import_leaves_no_module(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import json\n\nraise ValueError('a\\nb')\n")
    before = set(sys.modules)
    with pytest.raises(UserFileError) as caught:
        import_file(path, "thing", KeyError)
    assert str(caught.value) == f"{path}:3: does not import: ValueError: a b"
    assert set(sys.modules) <= before


def test_error_line_is_the_innermost_in_the_users_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import json\n\ndef read(text):\n    return json.loads(text)\n")
    module = import_file(path, "thing", KeyError)
    with pytest.raises(ValueError, match="Expecting") as caught:
        module.read("{")
    assert find_line(path, caught.value) == f"{path}:4"
    assert one_line(caught.value).startswith("JSONDecodeError: Expecting property name")
