"""The responses of an evaluation as samples, the form in which trainings keep theirs (`pipelines.records.samples`)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pipelines.evaluation.records import Problem, Response, read
from pipelines.records.samples import Sample
from pipelines.trainers.samples import LONGEST_PROMPT, LONGEST_REASON, LONGEST_TRUTH, shorten


def read_samples(folder: Path, rows: Collection[str] | None = None) -> list[Sample]:
    """Return the responses in a set's folder, problem by problem.

    Args:
        folder: The one with problems.jsonl and responses.jsonl.
        rows: Only those to these problems, by their rows' ids; None: to all.

    Raises:
        RecordError: A line of a file is not a record.
    """
    wanted = None if rows is None else set(rows)
    problems = {each.row: each for each in read(folder / "problems.jsonl", Problem) if wanted is None or each.row in wanted}
    numbers = {row: number for number, row in enumerate(problems)}
    found = [
        _to_sample(problems[each.row], numbers[each.row], each)
        for each in read(folder / "responses.jsonl", Response)
        if each.row in problems
    ]
    return sorted(found, key=lambda each: (each.group, each.number))


def _to_sample(problem: Problem, number: int, response: Response) -> Sample:
    text, omitted = shorten(response.text)
    numbers = {
        "accuracy": response.accuracy,
        "tests": response.share,
        "format": response.has_form,
        "failed": None if response.failed is None else 1.0,
    }
    prompt = "".join(f"{each['role']}\n{each['content']}\n" for each in problem.prompt)
    return Sample(
        split="evaluation",
        step=0,
        source=problem.data_source,
        row=problem.row,
        group=number,
        number=response.sample,
        prompt=shorten(prompt, LONGEST_PROMPT)[0],
        response=text,
        omitted=omitted,
        score=response.score,
        values={name: float(value) for name, value in numbers.items() if value is not None},
        reason=shorten(response.failed or response.reason or "", LONGEST_REASON)[0],
        tokens=response.tokens,
        prompt_tokens=response.prompt_tokens,
        cut=response.finish != "stop",
        truth=shorten(problem.ground_truth, LONGEST_TRUTH)[0],
        calls=response.calls,
    )
