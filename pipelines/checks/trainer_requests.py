"""The questions about a recipe's stages for the trainers, and the files that they refer to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pyarrow.parquet import read_metadata

from pipelines.digests import write_atomically
from pipelines.models.folder import find_model_folder, read_model_info
from pipelines.recipe.schema import RlStage, SftStage, TinyModel
from pipelines.run.plan import Plan, counting_of, trainer_module
from pipelines.trainers.answering import Question
from pipelines.trainers.base import StagePaths
from preprocess.columns import pack
from preprocess.engine.writing import RowsFile
from preprocess.errors import RowError
from preprocess.jobs.dataset_info import make_dataset_info
from preprocess.rows import Row, Shape

# Replaces a model that is not on this machine.
_STAND_IN = {"make": "qwen2", "vocabulary": 2048, "hidden_size": 64, "layers": 1, "heads": 1, "max_tokens": 1 << 20}


def make_question(plan: Plan, stage: SftStage | RlStage) -> tuple[Question, Mapping[str, str]]:
    """Write a stage's files; return the question about it and the variables that its trainer runs with.

    Raises:
        InputError: The trainer does not support the stage.
    """
    paths, index = plan.paths(stage.name), plan.recipe.stages.index(stage)
    model = plan.recipe.base_model(stage)
    folder = None if isinstance(model, TinyModel) else find_model_folder(model)
    make = None if folder else _model_config(plan, model, stage)
    place = str(folder or (make or {})["output"])
    launch = trainer_module(stage).launch(stage, replace(plan.context(stage), model=place))
    for name, text in launch.files.items():
        write_atomically(paths.step("train") / name, text)
    file = paths.data / "train.parquet"
    rows = read_metadata(file).num_rows if file.is_file() else 0
    # A model that gets its chat template in training cannot render prompts before.
    bare = folder is not None and read_model_info(folder).chat_template is False
    stands_in = folder is None and not isinstance(model, TinyModel)
    lengths = {
        "name": stage.name,
        "shape": stage.kind,
        "model": place,
        "files": {"train": str(file)},
        "output": "",
        "limit": token_limit(stage)[1],
        "taught": any(isinstance(each, SftStage) for each in plan.recipe.stages[:index]),
        **counting_of(stage),
    }
    question = Question(
        stage=stage.name,
        module=launch.argv[len(launch.argv) - launch.argv[::-1].index("-m")],
        folder=str(paths.step("train")),
        model=place,
        make=make,
        stands_in=stands_in,
        rows=0 if bare and isinstance(stage, RlStage) else rows,
        lengths=lengths if rows and not stands_in else None,
        for_gpu=plan.machine.platform == "cuda",
    )
    return question, launch.environment


def _model_config(plan: Plan, model: str | TinyModel, stage: SftStage | RlStage) -> dict[str, Any]:
    """Return how to make a tiny model or a stand-in; each trainer makes its own, so that none waits for another."""
    tiny, trainer = isinstance(model, TinyModel), stage.trainer
    name = f"model-{trainer}" if tiny else f"model-{trainer}-{stage.name}"
    files = [plan.paths(each.name).data / "train.parquet" for each in (plan.recipe.stages if tiny else [stage])]
    config = model.model_dump(exclude_none=True) if isinstance(model, TinyModel) else _STAND_IN
    output = str(plan.directory / name)
    return {**config, "seed": plan.recipe.seed, "rows": [str(file) for file in files if file.is_file()], "output": output}


def token_limit(stage: SftStage | RlStage) -> tuple[str, int]:
    """Return what the stage limits, prompts or conversations, and to how many tokens."""
    return ("prompts", stage.rollout.max_prompt_tokens) if isinstance(stage, RlStage) else ("conversations", stage.max_tokens)


def write_rows(rows: list[Row], stage: SftStage | RlStage, paths: StagePaths) -> None:
    """Write the rows as the stage's training and validation files."""
    good = [row for row in rows if _is_writable(row, stage.kind)]
    if not good:
        return
    paths.data.mkdir(parents=True)
    for split in ("train", "validation"):
        file = RowsFile(paths.data / f"{split}.parquet", stage.kind, split)
        file.write(pack(good, [getattr(row, "id", "") for row in good], stage.kind))
        file.keep()
    if stage.kind == "sft":
        write_atomically(paths.data / "dataset_info.json", json.dumps(make_dataset_info()))


def _is_writable(row: Row, shape: Shape) -> bool:
    """Return whether the row can be written; the preparation rejects one that cannot."""
    try:
        pack([row], [getattr(row, "id", "")], shape)
    except (UnicodeEncodeError, RowError):
        return False
    return True
