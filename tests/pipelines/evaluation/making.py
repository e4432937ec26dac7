"""Problems, responses and evaluation folders for the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.evaluation.records import Appender, Problem, Response
from pipelines.evaluation.summarising import summarise_folder
from pipelines.evaluation.summary import SetSummary, Summary, write


def problem(row: str, **fields: Any) -> Problem:
    return Problem(row, ({"role": "user", "content": row},), **{"data_source": "s", "ground_truth": row, **fields})


def response(row: str, sample: int = 0, accuracy: float | None = 0.0, **fields: Any) -> Response:
    return Response(
        row, sample, "text", **{"tokens": 10, "finish": "stop", "score": accuracy or 0.0, **fields}, accuracy=accuracy
    )


def responses(accuracies: Mapping[str, Sequence[float | None]], **fields: Any) -> list[Response]:
    """Return a response for each accuracy of each row."""
    return [response(row, sample, each, **fields) for row, values in accuracies.items() for sample, each in enumerate(values)]


def write_set(
    folder: Path, problems: Sequence[Problem], found: Sequence[Response], samples: int, temperature: float
) -> SetSummary:
    """Write the folder of a set with its summary."""
    for name, records in (("problems", problems), ("responses", found)):
        appender = Appender(folder / f"{name}.jsonl")
        for each in records:
            appender.append(each)
        appender.close()
    return summarise_folder(folder, samples=samples, temperature=temperature)


def evaluation(
    folder: Path, sets: Mapping[str, Mapping[str, Sequence[float | None]]], temperature: float = 0.8, **fields: Any
) -> Path:
    """Write an evaluation: set -> row -> the accuracy of each response."""
    summaries = {}
    for name, rows in sets.items():
        samples = max(map(len, rows.values()))
        found = responses(rows, **fields)
        summaries[name] = write_set(folder / name, [problem(row) for row in rows], found, samples, temperature)
    write(folder, Summary(target=folder.name, model=f"models/{folder.name}", sets=summaries))
    return folder
