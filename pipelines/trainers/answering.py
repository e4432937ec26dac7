"""Validate rendered stages with the trainer itself: questions, answers, and the process that answers them.

`python -m pipelines.trainers.verl.answers REQUEST.json` (or `…llamafactory.answers`) runs in the trainer's environment and
prints a JSON line per question. One process answers all of them, because importing the trainer takes longest.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from preprocess.lifetime import end_with

_LONGEST_ERROR = 300


@dataclass(frozen=True)
class Question:
    """Does the trainer accept a rendered stage?"""

    stage: str
    module: str
    """The module that trains the stage: `python -m` this."""
    folder: str
    """The folder of the rendered files."""
    model: str
    """The folder of the stage's initial model, or of a stand-in."""
    make: Mapping[str, Any] | None = None
    """How to make that folder if it is missing: a `pipelines.models.tiny` configuration."""
    stands_in: bool = False
    """Whether `model` is a stand-in."""
    rows: int = 0
    """Number of rows in the stage's data files; 0: do not load them."""
    lengths: Mapping[str, Any] | None = None
    """The prompts to count: a `preprocess.prompts.counting` stage."""
    prompts: Mapping[str, Any] | None = None
    """Arguments of the chat template with which the model of an sft stage is prompted later; None: not known."""
    entry: Mapping[str, Any] | None = None
    """How to compose the configuration of an entry point outside verl's core: its `folder`, `name` and Hydra `overrides`; and
    the folder to `import` the entry from."""
    for_gpu: bool = False
    """Whether the settings are for a GPU. They are validated without one, so that jobs on it are not disturbed."""


@dataclass
class Answer:
    """The outcome of a question."""

    stage: str
    problem: str | None = None
    """Why the trainer rejects the stage: its error on one line."""
    facts: list[str] = field(default_factory=list)
    """How the trainer interprets the stage."""
    notes: list[str] = field(default_factory=list)
    """One-line notes for the user."""
    untried: list[str] = field(default_factory=list)
    """Keys that need a GPU and were not validated."""
    stands_in: bool = False
    """Whether the question was answered with a stand-in model."""
    lengths: dict[str, Any] | None = None
    """Summary of the prompt lengths in tokens."""
    uncounted: str | None = None
    """Why they were not counted."""


def main(answer: Callable[[Question, Answer], None]) -> None:
    """Answer the questions in the file that the command line names; whatever the trainer prints goes to standard error.

    Any exception from `answer`, which completes an answer, is the trainer's rejection.
    """
    end_with(os.getppid())
    questions = [Question(**each) for each in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))]
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        for question in questions:
            found = Answer(question.stage, stands_in=question.stands_in)
            found.uncounted = "the model's tokenizer is not available" if question.stands_in else "no rows are available"
            try:
                _make_model(question)
                if question.lengths is not None:
                    question = replace(question, rows=_count(question.lengths, found) or question.rows)
                answer(question, found)
            except Exception as error:
                found.problem = describe(error)
                found.facts = []
            print(json.dumps(asdict(found)), file=out, flush=True)


def describe(error: BaseException) -> str:
    """Return an upstream error on one line; Hydra's wrappers are removed."""
    while type(error).__module__.startswith("hydra.") and error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST_ERROR else f"{text[: _LONGEST_ERROR // 2]} … {text[-_LONGEST_ERROR // 2 :]}"


def _make_model(question: Question) -> None:
    if question.make is None or Path(question.model, "config.json").is_file():
        return
    from pipelines.models.tiny import make, read_config

    make(read_config(question.make))


def _count(stage: Mapping[str, Any], found: Answer) -> int | None:
    """Count the prompts; leave out those that are too long if the stage does, and return how many are left."""
    from preprocess.prompts.counting import PromptError, Stage, measure
    from preprocess.prompts.fitting import write_fitting

    given = Stage(**stage)
    try:
        lengths = measure(given)
    except PromptError as error:
        found.uncounted = str(error).removeprefix(f"{found.stage}: ")
        return None
    found.lengths = {split: each.summarise() for split, each in lengths.items()}.get("train")
    if not lengths:
        found.uncounted = "the model has no chat template before training"
    elif (
        given.fitting is not None
        and given.limit is not None
        and found.lengths
        and found.lengths["over"] < found.lengths["rows"]
    ):
        write_fitting(given.files, {split: each.tokens for split, each in lengths.items()}, given.limit, Path(given.fitting))
        return int(found.lengths["rows"]) - int(found.lengths["over"])
    return None
