"""Write the card of a model, and keep that of a stage's model current while its run continues."""

from __future__ import annotations

from pathlib import Path

from pipelines.digests import CARD, write_atomically
from pipelines.evaluation.spec import SUMMARY
from pipelines.evaluation.steps import STEP
from pipelines.evaluation.target import FOLDER
from pipelines.reports.card.facts import find_facts
from pipelines.reports.card.rendering import render
from pipelines.run.export import Trained
from pipelines.run.plan import Plan, Step


def make_card(trained: Trained, repository: str | None = None) -> str:
    """Return the card of a model of a run, with all evaluations of its current weights.

    Args:
        trained: The model.
        repository: Its name on the hub; None: it is a folder.
    """
    return render(find_facts(trained), repository)


def write_card(trained: Trained, folder: Path, repository: str | None = None) -> None:
    """Write the card of a model into a folder.

    Raises:
        StepError: It cannot be written.
    """
    write_atomically(folder / CARD, make_card(trained, repository))


def keep_card(plan: Plan, step: Step) -> None:
    """Write the card of a stage's model after its hand-over and after its evaluation, if it is missing or older.

    Args:
        plan: The plan of the run.
        step: The step that has ended or was skipped.

    Raises:
        StepError: It cannot be written.
    """
    stage = next((each for each in plan.recipe.stages if each.name == step.stage), None)
    if stage is None or step.name not in (f"{stage.name}/handover", f"{stage.name}/{STEP}"):
        return
    model = plan.paths(stage.name).model
    if model.is_dir() and not _is_current(model / CARD, plan.directory / FOLDER):
        write_card(Trained(plan, stage), model)


def _is_current(card: Path, evaluations: Path) -> bool:
    """Return whether no evaluation of the run has ended since the card was written."""
    if not card.is_file():
        return False
    written = card.stat().st_mtime
    return all(each.stat().st_mtime <= written for each in evaluations.glob(f"*/{SUMMARY}"))
