"""The questions to the trainers about a recipe's stages, with the files that they are about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipelines.digests import write_atomically
from pipelines.models.folder import find_model_folder, read_model_info
from pipelines.recipe.consistency import find_base_model
from pipelines.recipe.schema import Recipe, RlStage, SftStage, TinyModel
from pipelines.run.plan import Plan, counting_of, trainer_module, trainer_of
from pipelines.trainers.answering import Question
from pipelines.trainers.base import StagePaths
from preprocess.columns import pack
from preprocess.engine.writing import RowsFile
from preprocess.errors import RowError
from preprocess.jobs.dataset_info import make_dataset_info
from preprocess.rows import Row, Shape

# A model of another size and tokenizer, where the stage's own is not here.
_STAND_IN = {"make": "qwen2", "vocabulary": 2048, "hidden_size": 64, "layers": 1, "heads": 1, "max_tokens": 1 << 20}


def make_question(plan: Plan, stage: SftStage | RlStage) -> tuple[Question, Mapping[str, str]]:
    """The question about a stage, whose files are written, and the variables that its trainer runs with.

    Raises:
        InputError: the stage asks for what its trainer cannot do.
    """
    paths, trainer = plan.paths(stage.name), trainer_of(stage)
    index = plan.recipe.stages.index(stage)
    model = find_base_model(plan.recipe, index)
    folder = None if isinstance(model, TinyModel) else find_model_folder(model)
    make = None if folder else _describe_made(plan, model, trainer, stage)
    place = str(folder or (make or {})["output"])
    launch = trainer_module(stage).launch(stage, replace(plan.context(stage), model=place))
    for name, text in launch.files.items():
        write_atomically(paths.step("train") / name, text)
    rows = _count_rows(paths)
    # A model that gets its chat template in training renders no prompt before.
    bare = folder is not None and read_model_info(folder).chat_template is False
    stands_in = folder is None and not isinstance(model, TinyModel)
    question = Question(
        stage=stage.name,
        module=launch.argv[len(launch.argv) - launch.argv[::-1].index("-m")],
        folder=str(paths.step("train")),
        model=place,
        make=make,
        stands_in=stands_in,
        rows=0 if bare and isinstance(stage, RlStage) else rows,
        lengths=_lengths(plan.recipe, index, place, paths) if rows and not stands_in else None,
        for_gpu=plan.machine.platform == "cuda",
    )
    return question, launch.environment


def _describe_made(plan: Plan, model: str | TinyModel, trainer: str, stage: SftStage | RlStage) -> dict[str, Any]:
    """How a made model is made, or a stand-in; each trainer makes its own, so that none waits for another."""
    tiny = isinstance(model, TinyModel)
    name = f"model-{trainer}" if tiny else f"model-{trainer}-{stage.name}"
    files = [plan.paths(each.name).data / "train.parquet" for each in (plan.recipe.stages if tiny else [stage])]
    made = model.model_dump(exclude_none=True) if isinstance(model, TinyModel) else _STAND_IN
    output = str(plan.directory / name)
    return {**made, "seed": plan.recipe.seed, "rows": [str(file) for file in files if file.is_file()], "output": output}


def limit_of(stage: SftStage | RlStage) -> tuple[str, int]:
    """What of a stage has a limit, and how many tokens it may have."""
    return ("prompts", stage.rollout.max_prompt_tokens) if isinstance(stage, RlStage) else ("conversations", stage.max_tokens)


def _lengths(recipe: Recipe, index: int, model: str, paths: StagePaths) -> dict[str, Any]:
    stage = recipe.stages[index]
    return {
        "name": stage.name,
        "shape": stage.kind,
        "model": model,
        "files": {"train": str(paths.data / "train.parquet")},
        "output": "",
        "limit": limit_of(stage)[1],
        "taught": any(isinstance(each, SftStage) for each in recipe.stages[:index]),
        **counting_of(stage),
    }


def write_rows(rows: list[Row], stage: SftStage | RlStage, paths: StagePaths) -> None:
    """Writes the rows as the stage's data files, both with the same."""
    good = [row for row in rows if _is_text(row, stage.kind)]
    if not good:
        return
    paths.data.mkdir(parents=True)
    for split in ("train", "validation"):
        file = RowsFile(paths.data / f"{split}.parquet", stage.kind, split)
        file.write(pack(good, [getattr(row, "id", "") for row in good], stage.kind))
        file.keep()
    if stage.kind == "sft":
        write_atomically(paths.data / "dataset_info.json", json.dumps(make_dataset_info()))


def _is_text(row: Row, shape: Shape) -> bool:
    """Whether the row can be written; the preparation rejects one that cannot."""
    try:
        pack([row], [getattr(row, "id", "")], shape)
    except (UnicodeEncodeError, RowError):
        return False
    return True


def _count_rows(paths: StagePaths) -> int:
    from pyarrow.parquet import read_metadata

    file = paths.data / "train.parquet"
    return int(read_metadata(file).num_rows) if file.is_file() else 0
