"""`trackers` of a recipe: names, options, and the messages for mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.problems import RecipeError
from pipelines.recipe.tracking import TRACKERS, Tracker, list_trackers
from pipelines.smoke.shrinking import shrink
from tests import ROOT

SMOKE = ROOT / "recipes/smoke.yaml"


def load_with(trackers: str) -> list[Tracker]:
    return list_trackers(load(SMOKE, [f"trackers={trackers}"]).recipe.trackers)


def test_names_and_mappings_mix() -> None:
    found = load_with('[tensorboard, {"name": "wandb", "project": "p", "entity": "team", "offline": true}, trackio]')
    assert [each.name for each in found] == ["tensorboard", "wandb", "trackio"]
    assert (found[1].project, found[1].entity, found[1].offline) == ("p", "team", True)
    assert found[0].project == "code-post-training"


def test_every_tracker_is_accepted_by_name() -> None:
    assert [each.name for each in load_with(f"[{', '.join(TRACKERS)}]")] == list(TRACKERS)


@pytest.mark.parametrize(
    ("trackers", "message"),
    [
        ("[wandbb]", "found 'wandbb', expected tensorboard, wandb, mlflow, swanlab or trackio; did you mean 'wandb'?"),
        (
            '[{"name": "mlfow"}]',
            "found 'mlfow', expected tensorboard, wandb, mlflow, swanlab or trackio; did you mean 'mlflow'?",
        ),
        ('[{"name": "wandb", "projct": "p"}]', "unknown key; did you mean 'project'?"),
        ('[{"project": "p"}]', "missing key name"),
        ("[wandb, wandb]", "wandb is listed twice"),
        ("wandb", "found the text 'wandb', expected a list"),
        (
            '[{"name": "mlflow", "entity": "team"}]',
            "mlflow has no option entity; its options are project, url or upload_model",
        ),
        ('[{"name": "tensorboard", "project": "p"}]', "tensorboard has no option project; its options are none"),
        ('[{"name": "wandb", "api_key": "x"}]', "unknown key"),
    ],
)
def test_a_mistake_is_one_line(trackers: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_with(trackers)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(RecipeError, match="url contains a password or a token; set MLFLOW_TRACKING_USERNAME") as caught:
        load_with('[{"name": "mlflow", "url": "https://user:hunter2@mlflow.example"}]')
    assert "hunter2" not in str(caught.value)


def test_a_smoke_is_not_tracked() -> None:
    small, changes = shrink(load(SMOKE, ["trackers=[tensorboard]"]))
    assert small.recipe.trackers == []
    assert [(each.key, each.why) for each in changes if each.key == "trackers"] == [("trackers", "smokes are not tracked")]


def test_trackers_are_part_of_the_recipe_that_is_kept(tmp_path: Path) -> None:
    (tmp_path / "kept.yaml").write_text(load(SMOKE, ["trackers=[tensorboard]"]).text(), encoding="utf-8")
    assert load(tmp_path / "kept.yaml").recipe.trackers == ["tensorboard"]
