"""What a model card says, collected from the run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.models.parameters import count_parameters
from pipelines.recipe.schema import RlStage, SftStage, Tool
from pipelines.records.overlong import read_overlong
from pipelines.records.runs import Run, open_run
from pipelines.reports.card.evaluations import Evaluated, find_evaluations
from pipelines.reports.card.names import hide_command, hide_paths, hide_recipe
from pipelines.reports.card.sources import Origin, find_data, find_model
from pipelines.run.export import Trained
from pipelines.trainers.verl.rendering import template_arguments

TRAINERS = {"llamafactory": "LLaMA-Factory", "verl": "verl"}
"""Names of the trainers."""


@dataclass(frozen=True)
class Link:
    """A stage of the chain."""

    stage: str
    method: str
    trainer: str
    step: int | None
    """The last step trained, or the step of the checkpoint."""
    rows: Mapping[str, int]
    """Split -> rows."""
    records: int | None
    """Records that were read."""
    rejected: int
    """Records that gave no row."""
    seconds: float | None
    """Wall time of the training."""
    notes: tuple[str, ...]
    overlong: str
    """Which rows had too many tokens, and what happened to them; empty: none."""


@dataclass(frozen=True)
class DataLine:
    """A source of rows."""

    stage: str
    split: str
    converter: str
    origin: Origin


@dataclass(frozen=True)
class Facts:
    """All that a card says."""

    recipe: str
    label: str
    base: Origin | None
    """The model before the first stage; None: a tiny model with random weights."""
    chain: tuple[Link, ...]
    """From the first stage to the model."""
    data: tuple[DataLine, ...]
    evaluations: tuple[Evaluated, ...]
    settings: Mapping[str, Any]
    """The recipe."""
    provenance: Mapping[str, str]
    template: Mapping[str, Any]
    """Arguments of the chat template in training."""
    tool: Tool | None
    smoke: bool

    @property
    def methods(self) -> str:
        """The methods of the chain in words."""
        return ", then ".join(f"{link.method} ({link.trainer})" for link in self.chain)


def find_facts(trained: Trained) -> Facts:
    """Collect what the card of a model says."""
    run, recipe, stage = open_run(trained.plan.directory), trained.plan.recipe, trained.stage
    lineage = recipe.lineage(stage)[::-1]
    base = recipe.base_model(stage)
    return Facts(
        recipe=recipe.name,
        label=trained.label,
        base=find_model(base, recipe.base_revision(stage)) if isinstance(base, str) else None,
        chain=tuple(_link(run, each, trained.step if each is stage else None) for each in lineage),
        data=tuple(line for each in lineage for line in _list_data(each, run.stage(each.name).data or {})),
        evaluations=tuple(find_evaluations(trained)),
        settings=_read_recipe(trained.plan.directory / "recipe.yaml"),
        provenance=_provenance(run, trained, lineage),
        template=template_arguments(stage),
        tool=next((each.tool for each in lineage[::-1] if isinstance(each, RlStage) and each.tool), None),
        smoke=run.manifest.smoke,
    )


def _link(run: Run, stage: SftStage | RlStage, step: int | None) -> Link:
    record = run.stage(stage.name)
    data = record.data or {}
    newest = record.last_metrics()
    training = record.training.record if record.training is not None else None
    return Link(
        stage=stage.name,
        method=_method(stage),
        trainer=TRAINERS[stage.trainer],
        step=step if step is not None else int(newest["step"]) if newest else None,
        rows=data.get("rows", {}),
        records=data.get("records"),
        rejected=sum(data.get("rejected", {}).values()),
        seconds=training.seconds if training is not None and step is None else None,
        notes=tuple(map(hide_paths, training.notes)) if training is not None and step is None else (),
        overlong=str(read_overlong(record.paths) or ""),
    )


def _method(stage: SftStage | RlStage) -> str:
    method = stage.algorithm if isinstance(stage, RlStage) else "SFT"
    return f"{method}, LoRA of rank {stage.lora.rank}" if stage.lora else method


def _list_data(stage: SftStage | RlStage, summary: Mapping[str, Any]) -> list[DataLine]:
    revisions = summary.get("revisions", {})
    splits = [("train", each) for each in stage.data.train_sources]
    splits += [("validation", each) for each in stage.data.validation_sources]
    return [DataLine(stage.name, split, each.converter, find_data(each.source, revisions)) for split, each in splits]


def _read_recipe(path: Path) -> Mapping[str, Any]:
    values = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return hide_recipe(values)


def _list_versions(run: Run, lineage: list[SftStage | RlStage]) -> list[str]:
    """Return the versions that trained the stages, each once."""
    trainings = [run.stage(each.name).training for each in lineage]
    records = [each.record.versions for each in trainings if each is not None and each.record is not None]
    return list(dict.fromkeys(f"{name} {version}" for record in records for name, version in record.items()))


def _list_origins(run: Run, lineage: list[SftStage | RlStage], name: str) -> str:
    """Return what the records of the trainings say under a name, each once."""
    trainings = [run.stage(each.name).training for each in lineage]
    found = [each.record.origin.get(name) for each in trainings if each is not None and each.record is not None]
    return ", ".join(dict.fromkeys(filter(None, found)))


def _provenance(run: Run, trained: Trained, lineage: list[SftStage | RlStage]) -> dict[str, str]:
    manifest, recipe, source = run.manifest, trained.plan.recipe, trained.source
    versions = _list_versions(run, lineage)
    parameters = count_parameters(str(source)) if (source / "config.json").is_file() else None
    lines = {
        "Trained with": ", ".join(versions) or "code-post-training, version unknown",
        "Commit": _list_origins(run, lineage, "commit"),
        "Python": _list_origins(run, lineage, "Python"),
        "GPUs": _list_origins(run, lineage, "GPUs"),
        "Driver": _list_origins(run, lineage, "driver"),
        "Platform": manifest.platform,
        "Command": shlex.join(hide_command(manifest.command)) if manifest.command else "",
        "Seed": str(recipe.seed),
        "Parameters": f"{parameters:,}" if parameters else "",
    }
    return {name: value for name, value in lines.items() if value}
