"""The examples of docs/trackers.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.tracking import TRACKERS, list_trackers
from tests import ROOT

PAGE = (ROOT / "docs/trackers.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^```yaml\n# (\w+\.yaml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_load(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(RECIPES[name], encoding="utf-8")
    recipe = load(Path(name)).recipe
    if name == "own.yaml":
        assert recipe.trackers == []
        assert recipe.stages[0].model_dump()["llamafactory"]["report_to"] == "tensorboard"
    else:
        assert "tensorboard" in [each.name for each in list_trackers(recipe.trackers)]


def test_every_tracker_and_option_is_documented() -> None:
    rows = {row[0]: row for line in PAGE.splitlines() if len(row := re.findall(r"`([^`]+)`", line)) and row[0] in TRACKERS}
    assert list(rows) == list(TRACKERS)
    for option in ("project", "entity", "url", "offline", "upload_model"):
        assert any(option in row for row in rows.values()), option
