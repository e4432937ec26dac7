"""The pinned trainers, asked about the stages in their own environments: one process each, all at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO

from pipelines.checks.findings import Finding, Report
from pipelines.checks.trainer_requests import limit_of, make_question, write_rows
from pipelines.digests import write_atomically
from pipelines.environments import Environment, environment
from pipelines.environments.pins import PLATFORMS
from pipelines.recipe.loading import Loaded
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.run.plan import Plan, trainer_module, trainer_of
from pipelines.trainers.answering import Answer, Question
from preprocess.rows import Row

_SECONDS = 300.0
_NAMES = {"llamafactory": "LLaMA-Factory", "verl": "verl"}


@dataclass
class _Asked:
    """One trainer's process."""

    trainer: str
    environment: Environment
    stages: list[SftStage | RlStage]
    process: subprocess.Popen[str]
    errors: IO[str]


class Asking:
    """Questions to all trainers of a recipe. Everything lies in a folder of its own, which the caller removes."""

    def __init__(
        self,
        loaded: Loaded,
        plan: Plan,
        rows: Mapping[str, Mapping[str, list[Row]]],
        environments: Mapping[str, Environment],
    ) -> None:
        """Starts the processes.

        Args:
            plan: the plan of a run in the folder.
            rows: stage -> source -> its first rows.

        Raises:
            InputError: a stage asks for what its trainer cannot do.
        """
        self._loaded, self._plan = loaded, plan
        self._asked: list[_Asked] = []
        self._unasked: dict[str, Environment] = {}
        for stage in plan.recipe.stages:
            write_rows([row for each in rows.get(stage.name, {}).values() for row in each], stage, plan.paths(stage.name))
        for trainer in environments:
            stages = [stage for stage in plan.recipe.stages if trainer_of(stage) == trainer]
            questions, variables = zip(*(make_question(plan, stage) for stage in stages), strict=True)
            found = find_ready(environments[trainer])
            if found is None:
                self._unasked[trainer] = environments[trainer]
            else:
                self._asked.append(self._start(trainer, found, stages, questions, variables[0]))

    def _start(
        self,
        trainer: str,
        found: Environment,
        stages: list[SftStage | RlStage],
        questions: Sequence[Question],
        variables: Mapping[str, str],
    ) -> _Asked:
        request = self._plan.directory / f"questions-{trainer}.json"
        write_atomically(request, json.dumps([asdict(each) for each in questions]))
        environ = {
            **os.environ,
            **variables,
            **found.variables,
            "CUDA_VISIBLE_DEVICES": "",
            "VERL_PLATFORM": "cpu",
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "TMPDIR": str(self._plan.directory),
        }
        errors = (self._plan.directory / f"errors-{trainer}.log").open("w+", encoding="utf-8", errors="replace")
        process = subprocess.Popen(
            [str(found.python), "-m", trainer_module(stages[0]).ANSWERS, str(request)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environ,
            cwd=self._plan.directory,
            start_new_session=True,
        )
        return _Asked(trainer, found, stages, process, errors)

    def findings(self, report: Report) -> None:
        """Waits for the answers, and puts them into the report."""
        for trainer, missing in self._unasked.items():
            said = f"not asked: its environment is not built; build it with `{missing.sync_command}`"
            for stage in self._plan.recipe.stages:
                if trainer_of(stage) == trainer:
                    report.add([Finding(stage.name, _NAMES[trainer], said, "unchecked")])
        until = time.monotonic() + _SECONDS
        for asked in self._asked:
            try:
                out, _ = asked.process.communicate(timeout=max(1.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                said = f"no answer after {_SECONDS:.0f} s"
                report.add([Finding(each.name, _NAMES[asked.trainer], said, "unchecked") for each in asked.stages])
                continue
            lines = (json.loads(line) for line in out.splitlines() if line.startswith('{"stage"'))
            answers = {each["stage"]: Answer(**each) for each in lines}
            for stage in asked.stages:
                self._judge(stage, answers.get(stage.name), asked, report)

    def close(self) -> None:
        """Ends what still runs."""
        for asked in self._asked:
            if asked.process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(asked.process.pid, signal.SIGKILL)
                asked.process.wait()
            asked.errors.close()

    def _judge(self, stage: SftStage | RlStage, answer: Answer | None, asked: _Asked, report: Report) -> None:
        name = f"{_NAMES[asked.trainer]} {asked.environment.pin.version}"
        if answer is None:
            asked.errors.seek(0)
            last = (asked.errors.read().strip().splitlines() or [f"exit status {asked.process.returncode}"])[-1]
            report.add([Finding(stage.name, name, f"it does not answer: {last}", "wrong")])
            return
        if answer.problem is not None:
            report.add([Finding(stage.name, name, f"refuses it: {answer.problem}", "wrong")])
            where = self._loaded.where("stages", stage.name)
            report.refuse(f"{where}: stages.{stage.name}: {name} refuses it: {answer.problem}")
            return
        taken = "accepts it, with a small model in the place of its own" if answer.stands_in else "accepts it"
        said = "; ".join([taken, *answer.facts])
        if answer.untried:
            said += f"; not tried without a GPU: {', '.join(answer.untried)}"
        report.add([Finding(stage.name, name, said), *(Finding(stage.name, name, note, "note") for note in answer.notes)])
        report.add(_judge_lengths(stage, answer))


def find_ready(wanted: Environment) -> Environment | None:
    """The environment, or the same trainer's for another platform where that one is built and this is not.

    What a trainer takes does not depend on it: it is asked without a GPU.
    """
    if wanted.is_ready():
        return wanted
    if not wanted.pinned:
        return None
    others = (environment(wanted.pin.trainer, each) for each in PLATFORMS if wanted.pin.lock(each).is_file())
    return next((each for each in others if each.is_ready()), None)


def _judge_lengths(stage: SftStage | RlStage, answer: Answer) -> Iterator[Finding]:
    what, limit = limit_of(stage)
    if answer.lengths is None:
        yield Finding(stage.name, what, f"not counted: {answer.uncounted}", "unchecked")
        return
    found, over = answer.lengths, answer.lengths["over"]
    said = f"{found['rows']:,} counted: median {found['median']:,}, longest {found['longest']:,} of {limit:,} tokens"
    if not over:
        yield Finding(stage.name, what, said)
        return
    fate = "are left out" if isinstance(stage, RlStage) else "are cut"
    said += f"; {over:,} are longer and {fate}, first {found['first_over'][0]}"
    if over > stage.data.max_overlong * found["rows"]:
        said += f"; more than max_overlong {stage.data.max_overlong:g} allows"
        yield Finding(stage.name, what, said, "wrong")
    else:
        yield Finding(stage.name, what, said, "note")
