"""Let the pinned trainers validate the stages, each in a process of its own environment, all at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import IO, Any

from pyarrow.parquet import read_metadata

from pipelines.checks.findings import Finding, Report
from pipelines.digests import write_atomically
from pipelines.environments import Environment, environment
from pipelines.environments.ask import last_line
from pipelines.environments.pins import PLATFORMS
from pipelines.models.folder import find_model_folder, read_model_info
from pipelines.recipe.loading import Loaded
from pipelines.recipe.schema import Recipe, RlStage, SftStage, TinyModel
from pipelines.run.plan import Plan, counting_of, overlong_of, trainer_module
from pipelines.trainers.answering import Answer, Question
from pipelines.trainers.base import Launch, StagePaths, rows_folder
from pipelines.trainers.verl.rendering import template_arguments
from pipelines.trainers.verl.rl.entry import compose_overrides, find_entry
from preprocess.columns import pack
from preprocess.engine.writing import RowsFile
from preprocess.errors import RowError
from preprocess.jobs.dataset_info import make_dataset_info
from preprocess.rows import Row, Shape

_SECONDS = 300.0
_VARIABLES = {"CUDA_VISIBLE_DEVICES": "", "VERL_PLATFORM": "cpu", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
# Replaces a model that is not on this machine.
_STAND_IN = {"make": "qwen2", "vocabulary": 2048, "hidden_size": 64, "layers": 1, "heads": 1, "max_tokens": 1 << 20}
_NAMES = {"llamafactory": "LLaMA-Factory", "verl": "verl"}


@dataclass
class _Process:
    """The process of one trainer."""

    trainer: str
    version: str
    stages: list[SftStage | RlStage]
    process: subprocess.Popen[str]
    errors: IO[str]


class TrainerChecks:
    """The validation by all trainers of a recipe. All files are in the plan's folder, which the caller deletes."""

    def __init__(
        self,
        loaded: Loaded,
        plan: Plan,
        rows: Mapping[str, Mapping[str, list[Row]]],
        environments: Mapping[str, Environment],
        chosen: Sequence[SftStage | RlStage],
    ) -> None:
        """Start the processes.

        Args:
            loaded: The recipe.
            plan: A plan in a temporary folder.
            rows: Stage -> source -> its first rows.
            environments: Trainer -> its environment.
            chosen: The stages to validate.
        """
        self._loaded, self._plan = loaded, plan
        self._processes: list[_Process] = []
        self._skipped: list[Finding] = []
        for stage in plan.recipe.stages:
            write_rows([row for each in rows.get(stage.name, {}).values() for row in each], stage, plan.paths(stage.name))
        for trainer, wanted in environments.items():
            stages = [stage for stage in chosen if stage.trainer == trainer]
            if not stages:
                continue
            if found := find_built(wanted):
                self._processes.append(self._start(trainer, found, stages))
            else:
                for stage in stages:
                    make_question(plan, stage)
                result = f"not asked: its environment is not built; build it with `{wanted.sync_command}`"
                self._skipped += [Finding(stage.name, _NAMES[trainer], result, "unchecked") for stage in stages]

    def collect(self, report: Report) -> None:
        """Wait for the answers and add them to the report."""
        report.findings += self._skipped
        until = time.monotonic() + _SECONDS
        for each in self._processes:
            try:
                out, _ = each.process.communicate(timeout=max(1.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                result = f"no answer after {_SECONDS:.0f} s"
                report.findings += [Finding(stage.name, _NAMES[each.trainer], result, "unchecked") for stage in each.stages]
                continue
            lines = (json.loads(line) for line in out.splitlines() if line.startswith('{"stage"'))
            answers = {line["stage"]: Answer(**line) for line in lines}
            for stage in each.stages:
                self._judge(stage, answers.get(stage.name), each, report)

    def close(self) -> None:
        """Kill the processes that still run."""
        for each in self._processes:
            if each.process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(each.process.pid, signal.SIGKILL)
                each.process.wait()
            each.errors.close()

    def _start(self, trainer: str, found: Environment, stages: list[SftStage | RlStage]) -> _Process:
        folder = self._plan.directory
        questions, variables = zip(*(make_question(self._plan, stage) for stage in stages), strict=True)
        request = folder / f"questions-{trainer}.json"
        write_atomically(request, json.dumps([asdict(each) for each in questions]))
        errors = (folder / f"errors-{trainer}.log").open("w+", encoding="utf-8", errors="replace")
        process = subprocess.Popen(
            [str(found.python), "-m", trainer_module(stages[0]).ANSWERS, str(request)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            env={**os.environ, **variables[0], **found.variables, **_VARIABLES, "TMPDIR": str(folder)},
            cwd=folder,
            start_new_session=True,
        )
        return _Process(trainer, found.pin.version, stages, process, errors)

    def _judge(self, stage: SftStage | RlStage, answer: Answer | None, from_: _Process, report: Report) -> None:
        name = f"{_NAMES[from_.trainer]} {from_.version}"
        if answer is None:
            from_.errors.seek(0)
            reason = last_line(from_.errors.read(), from_.process.returncode)
            report.findings.append(Finding(stage.name, name, f"it does not answer: {reason}", "wrong"))
            return
        if answer.problem is not None:
            result = f"rejects it: {answer.problem}"
            report.findings.append(Finding(stage.name, name, result, "wrong"))
            report.add_problem(f"{self._loaded.where('stages', stage.name)}: stages.{stage.name}: {name} {result}")
            return
        result = "; ".join(["accepts it" + (", with a small stand-in model" if answer.stands_in else ""), *answer.facts])
        if answer.untried:
            result += f"; not tried without a GPU: {', '.join(answer.untried)}"
        report.findings.append(Finding(stage.name, name, result))
        report.findings += [Finding(stage.name, name, note, "note") for note in answer.notes]
        report.findings.append(_judge_lengths(stage, answer))


def find_built(wanted: Environment) -> Environment | None:
    """Return the environment, or the same trainer's for another platform if only that one is built.

    Either gives the same answers, because trainers are asked without a GPU.
    """
    if wanted.is_ready():
        return wanted
    if not wanted.pinned:
        return None
    others = (environment(wanted.pin.trainer, each) for each in PLATFORMS if wanted.pin.lock(each).is_file())
    return next((each for each in others if each.is_ready()), None)


def _judge_lengths(stage: SftStage | RlStage, answer: Answer) -> Finding:
    what, limit = token_limit(stage)
    if answer.lengths is None:
        return Finding(stage.name, what, f"not counted: {answer.uncounted}", "unchecked")
    found, over = answer.lengths, answer.lengths["over"]
    result = f"{found['rows']:,} counted: median {found['median']:,}, longest {found['longest']:,} of {limit:,} tokens"
    if not over:
        return Finding(stage.name, what, result)
    outcome = {"cut": "are truncated", "leave_out": "are left out", "error": "data.overlong is error"}[stage.overlong]
    result += f"; {over:,} are longer and {outcome}, first {found['first_over'][0]}"
    if stage.overlong == "error":
        return Finding(stage.name, what, result, "wrong")
    if over > stage.data.max_overlong * found["rows"]:
        return Finding(stage.name, what, f"{result}; more than max_overlong {stage.data.max_overlong:g} allows", "wrong")
    return Finding(stage.name, what, result, "note")


def make_question(plan: Plan, stage: SftStage | RlStage) -> tuple[Question, Mapping[str, str]]:
    """Write a stage's files; return the question about it and the variables that its trainer runs with."""
    paths, index = plan.paths(stage.name), plan.recipe.stages.index(stage)
    model = plan.recipe.base_model(stage)
    folder = None if isinstance(model, TinyModel) else find_model_folder(model, plan.recipe.base_revision(stage))
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
    counted = ("train", "validation") if rows_folder(stage, paths) == paths.fitting else ("train",)
    lengths = {
        "name": stage.name,
        "shape": stage.kind,
        "model": place,
        "files": {split: str(paths.data / f"{split}.parquet") for split in counted},
        "output": "",
        "limit": token_limit(stage)[1],
        "taught": any(isinstance(each, SftStage) for each in plan.recipe.stages[:index]),
        **overlong_of(stage, paths),
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
        entry=_compose_entry(stage, launch, paths),
        prompts=None if stands_in or isinstance(stage, RlStage) else prompt_arguments(plan.recipe, stage),
        for_gpu=plan.machine.platform == "cuda",
    )
    return question, launch.environment


def _compose_entry(stage: SftStage | RlStage, launch: Launch, paths: StagePaths) -> dict[str, Any] | None:
    """Return how the configuration of the stage's entry point is composed; None: it has none."""
    if not isinstance(stage, RlStage) or stage.entry is None or not (entry := find_entry(stage)).exists:
        return None
    overrides = compose_overrides(entry, paths.step("train"))
    folder, name = str(entry.config_folder), entry.config_name
    return {"folder": folder, "name": name, "overrides": overrides, "import": launch.environment["PYTHONPATH"]}


def prompt_arguments(recipe: Recipe, stage: SftStage) -> dict[str, Any]:
    """Return the arguments of the chat template with which the stage's model is prompted.

    Those of the first stage of reinforcement learning that starts from it; without one, the stage's own mode of thinking.
    """
    later = (each for each in recipe.stages if isinstance(each, RlStage) and stage in recipe.lineage(each))
    if (prompting := next(later, None)) is not None:
        return template_arguments(prompting)
    return {"enable_thinking": False} if stage.llamafactory.get("enable_thinking") is False else {}


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
    if rows_folder(stage, paths) == paths.fitting:
        shutil.copytree(paths.data, paths.fitting)  # replaced when the rows are counted


def _is_writable(row: Row, shape: Shape) -> bool:
    """Return whether the row can be written; the preparation rejects one that cannot."""
    try:
        pack([row], [getattr(row, "id", "")], shape)
    except (UnicodeEncodeError, RowError):
        return False
    return True
