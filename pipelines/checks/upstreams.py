"""Let the pinned trainers validate the stages, each in a process of its own environment, all at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO

from pipelines.checks.findings import Finding, Report
from pipelines.checks.trainer_requests import make_question, token_limit, write_rows
from pipelines.digests import write_atomically
from pipelines.environments import Environment, environment
from pipelines.environments.ask import last_line
from pipelines.environments.pins import PLATFORMS
from pipelines.recipe.loading import Loaded
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.run.plan import Plan, trainer_module
from pipelines.trainers.answering import Answer
from preprocess.rows import Row

_SECONDS = 300.0
_VARIABLES = {"CUDA_VISIBLE_DEVICES": "", "VERL_PLATFORM": "cpu", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
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
    ) -> None:
        """Start the processes.

        Args:
            plan: A plan in a temporary folder.
            rows: Stage -> source -> its first rows.

        Raises:
            InputError: A trainer does not support a stage.
        """
        self._loaded, self._plan = loaded, plan
        self._processes: list[_Process] = []
        self._skipped: list[Finding] = []
        for stage in plan.recipe.stages:
            write_rows([row for each in rows.get(stage.name, {}).values() for row in each], stage, plan.paths(stage.name))
        for trainer, wanted in environments.items():
            stages = [stage for stage in plan.recipe.stages if stage.trainer == trainer]
            if found := find_built(wanted):
                self._processes.append(self._start(trainer, found, stages))
            else:
                for stage in stages:
                    make_question(plan, stage)
                result = f"not asked: its environment is not built; build it with `{wanted.sync_command}`"
                self._skipped += [Finding(stage.name, _NAMES[trainer], result, "unchecked") for stage in stages]

    def collect(self, report: Report) -> None:
        """Wait for the answers and add them to the report."""
        report.add(self._skipped)
        until = time.monotonic() + _SECONDS
        for each in self._processes:
            try:
                out, _ = each.process.communicate(timeout=max(1.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                result = f"no answer after {_SECONDS:.0f} s"
                report.add([Finding(stage.name, _NAMES[each.trainer], result, "unchecked") for stage in each.stages])
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
            text=True,
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
            report.add([Finding(stage.name, name, f"it does not answer: {reason}", "wrong")])
            return
        if answer.problem is not None:
            result = f"rejects it: {answer.problem}"
            report.add([Finding(stage.name, name, result, "wrong")])
            report.add_problem(f"{self._loaded.where('stages', stage.name)}: stages.{stage.name}: {name} {result}")
            return
        result = "; ".join(["accepts it" + (", with a small stand-in model" if answer.stands_in else ""), *answer.facts])
        if answer.untried:
            result += f"; not tried without a GPU: {', '.join(answer.untried)}"
        report.add([Finding(stage.name, name, result), *(Finding(stage.name, name, note, "note") for note in answer.notes)])
        report.add(_judge_lengths(stage, answer))


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


def _judge_lengths(stage: SftStage | RlStage, answer: Answer) -> Iterator[Finding]:
    what, limit = token_limit(stage)
    if answer.lengths is None:
        yield Finding(stage.name, what, f"not counted: {answer.uncounted}", "unchecked")
        return
    found, over = answer.lengths, answer.lengths["over"]
    result = f"{found['rows']:,} counted: median {found['median']:,}, longest {found['longest']:,} of {limit:,} tokens"
    if not over:
        yield Finding(stage.name, what, result)
        return
    outcome = "are left out" if isinstance(stage, RlStage) else "are cut"
    result += f"; {over:,} are longer and {outcome}, first {found['first_over'][0]}"
    if over > stage.data.max_overlong * found["rows"]:
        result += f"; more than max_overlong {stage.data.max_overlong:g} allows"
        yield Finding(stage.name, what, result, "wrong")
    else:
        yield Finding(stage.name, what, result, "note")
