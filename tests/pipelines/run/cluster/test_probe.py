"""The probe of a node, run in this process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.run.cluster import probe as module
from pipelines.run.cluster.probe import digest_project, find_versions, probe, why_full, why_not_shared


def request(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return the request of a caller that wrote its token."""
    (folder / "token").write_text("text")
    return {
        "token": str(folder / "token"),
        "text": "text",
        "reply": str(folder / "reply"),
        "paths": [],
        "sandbox": False,
    } | changes


def test_a_shared_folder_is_read_and_written(tmp_path: Path) -> None:
    found = probe(request(tmp_path, paths=[str(tmp_path), str(tmp_path / "model")]))
    assert (found["shared"], found["missing"]) == ("", [str(tmp_path / "model")])
    assert (tmp_path / "reply").read_text() == "text"
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"token": "FOLDER/other"}, "a file that this machine wrote into FOLDER is missing there"),
        ({"text": "another"}, "a file that this machine wrote into FOLDER has another content there"),
        ({"token": "FOLDER/token/token"}, "FOLDER/token cannot be read there: Not a directory"),
        ({"reply": "FOLDER/token/reply"}, "FOLDER cannot be written there: Not a directory"),
    ],
)
def test_a_folder_that_is_not_shared_has_a_reason(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    changes = {key: value.replace("FOLDER", str(tmp_path)) for key, value in changes.items()}
    assert why_not_shared(request(tmp_path, **changes)) == reason.replace("FOLDER", str(tmp_path))


def test_of_two_versions_the_imported_one_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pytest-1.0.dist-info").mkdir()
    (tmp_path / "pytest-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: Pytest\nVersion: 1.0\n")
    assert find_versions()["pytest"] == pytest.__version__
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_versions()["pytest"] == "1.0"


def test_the_digest_is_of_the_code_that_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(digest_project()) == 12
    monkeypatch.setattr(module, "PACKAGES", ("pipelines", "no_such_package"))
    assert digest_project() == ""


def test_a_folder_with_space_is_not_full(tmp_path: Path) -> None:
    assert why_full(str(tmp_path / "missing")) == ""
