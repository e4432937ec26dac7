"""The download of verl-recipe at a tag, from a local repository instead of the public one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.environments import recipes
from pipelines.environments.recipes import REPOSITORY, download_recipes
from pipelines.errors import StepError
from pipelines.trainers.verl.rl import entry

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with the tag v1, which git uses instead of the public one; the cache is the test's own."""
    folder = tmp_path / "repository"
    (folder / "prime").mkdir(parents=True)
    (folder / "prime/main_prime.py").touch()
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for argv in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "First"], ["tag", "v1"]):
        subprocess.run(["git", "-C", str(folder), *argv], check=True, capture_output=True)
    for name, value in {"COUNT": "1", "KEY_0": f"url.file://{folder}.insteadOf", "VALUE_0": REPOSITORY}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    monkeypatch.setattr(entry, "cache_folder", lambda: tmp_path / "cache")
    return folder


def test_a_tag_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = download_recipes("v1")
    assert folder == tmp_path / "cache/verl-recipe/v1"
    assert (folder / "prime/main_prime.py").is_file() and (folder / ".git").is_dir()
    monkeypatch.setattr(recipes, "call", lambda *_, **__: pytest.fail("downloaded again"))
    assert download_recipes("v1") == folder


def test_an_unknown_tag_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=f"{REPOSITORY} cannot be cloned at v2: .*v2 not found"):
        download_recipes("v2")
    assert not list((tmp_path / "cache/verl-recipe").iterdir())


@pytest.mark.parametrize("arguments", [("llamafactory", "--recipes", "v1"), ("verl", "--recipes", "a/b"), ("--recipes=--all",)])
def test_what_is_not_a_tag_is_refused(arguments: tuple[str, ...], call: Call) -> None:
    status, _, err = call("env", "sync", *arguments)
    assert (status, err.count("\n")) == (2, 1)
    assert "expected a tag of verl-recipe, and the trainer verl" in err
