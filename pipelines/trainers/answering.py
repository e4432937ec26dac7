"""What the questions to a trainer about stages have in common; imported in the trainer's own Python.

`python -m pipelines.trainers.verl.answers REQUEST.json` (and `…llamafactory_answers …`) answers a list of questions, a
JSON line each, as soon as it can. Importing the trainer takes longer than all the questions, so one process answers all.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from preprocess.lifetime import end_with


@dataclass(frozen=True)
class Question:
    """Whether the trainer takes a stage as it is rendered."""

    stage: str
    module: str
    """What the stage's training runs: `python -m` this."""
    folder: str
    """Holds the rendered files."""
    model: str
    """The folder of the model that the stage begins with, or of what stands in for it."""
    make: Mapping[str, Any] | None = None
    """How that folder is made where it is not there: a `pipelines.models.tiny` configuration."""
    stands_in: bool = False
    """Whether it is another model than the stage's own."""
    rows: int = 0
    """Rows of the stage, of which the configuration's data files hold as many; none: nothing is said of rows."""
    lengths: Mapping[str, Any] | None = None
    """What `preprocess.prompts.counting` is to count."""
    for_gpu: bool = False
    """Whether the settings are for a GPU. They are tried without one, so as to disturb nothing that runs there."""


@dataclass
class Answer:
    """What came of a question."""

    stage: str
    problem: str | None = None
    """What the trainer refused, in its own words, on one line."""
    facts: list[str] = field(default_factory=list)
    """What it made of the stage."""
    notes: list[str] = field(default_factory=list)
    """What a person should know: a line each."""
    untried: list[str] = field(default_factory=list)
    """Keys that only a GPU takes."""
    stands_in: bool = False
    """Whether it was answered with another model than the stage's own."""
    lengths: dict[str, Any] | None = None
    """How many tokens prompts have (`prompt_counting.Lengths.summarise`)."""
    uncounted: str | None = None
    """Why they were not counted."""


def answer_all(arguments: Sequence[str], answer: Callable[[Question, Answer], None]) -> int:
    """Answers the questions in the file that the only argument names; returns the exit status.

    What the trainer prints itself goes to standard error.

    Args:
        answer: fills in what came of a question; whatever it raises is the trainer's refusal.
    """
    end_with(os.getppid())
    questions = [Question(**each) for each in json.loads(Path(arguments[0]).read_text(encoding="utf-8"))]
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        for question in questions:
            found = Answer(question.stage, stands_in=question.stands_in)
            try:
                _make_model(question)
                answer(question, found)
            except Exception as error:
                found.problem = describe(error)
                found.facts = []
            if question.lengths is not None:
                _count(question.lengths, found)
            else:
                found.uncounted = "the model's tokenizer is not here" if question.stands_in else "there are no rows here"
            print(json.dumps(asdict(found)), file=out, flush=True)
    return 0


def describe(error: BaseException) -> str:
    """An upstream's error on one line: of what Hydra wraps, the error itself."""
    while type(error).__module__.startswith("hydra.") and error.__cause__ is not None:
        error = error.__cause__
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST // 2]} … {said[-_LONGEST // 2 :]}"


_LONGEST = 300


def _make_model(question: Question) -> None:
    if question.make is None or Path(question.model, "config.json").is_file():
        return
    from pipelines.models.tiny import make, read_config

    make(read_config(question.make))


def _count(about: Mapping[str, Any], found: Answer) -> None:
    from preprocess.prompts.counting import PromptError, Stage, measure

    try:
        lengths = measure(Stage(**about))
    except PromptError as error:
        found.uncounted = str(error).removeprefix(f"{found.stage}: ")
    else:
        found.lengths = {split: each.summarise() for split, each in lengths.items()}.get("train")
        if not lengths:
            found.uncounted = "the model has no chat template before it is trained"


def main(answer: Callable[[Question, Answer], None]) -> None:
    """The command."""
    sys.exit(answer_all(sys.argv[1:], answer))
