"""problems.jsonl of a set: from its source, or from the validation rows of a stage (the set `own`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pipelines.digests import write_atomically
from pipelines.errors import InputError
from pipelines.evaluation.problems import TAGS, make_problems
from pipelines.evaluation.records import Problem
from pipelines.evaluation.sets import EvaluationSet
from pipelines.evaluation.spec import SetSpec

OWN = "own"
"""The set of a stage's validation rows."""

ROWS = "rows"
"""The converter in the definition of `own`: the source has rows already."""


def make_problem_file(given: SetSpec, path: Path) -> str:
    """Write the problems of a set; return how many there are, in words.

    Raises:
        InputError: The source is missing or has no problems.
        StepError: The file cannot be written.
    """
    data = given.definition["data"]
    if data["converter"] != ROWS:
        definition = EvaluationSet.model_validate_json(json.dumps(given.definition))
        return make_problems(definition, path, given.limit).describe()
    problems = list(_read_rows(Path(data["source"])))[: given.limit]
    if not problems:
        raise InputError(
            f"set {given.name}: {data['source']} has no rows; set data.validation in the recipe, or choose --on SET"
        )
    encode = msgspec.json.Encoder().encode
    write_atomically(path, "".join(encode(each).decode() + "\n" for each in problems))
    return f"{len(problems):,} problems"


def _read_rows(path: Path) -> Iterator[Problem]:
    """Yield the rows of a prepared file of a stage as problems."""
    import pyarrow.parquet

    names: Counter[str] = Counter()
    for index, row in enumerate(pyarrow.parquet.read_table(path).to_pylist()):
        info: dict[str, Any] = row.get("extra_info") or {}
        name = str(info.get("id") or index)
        names[name] += 1
        yield Problem(
            row=name if names[name] == 1 else f"{name}#{names[name]}",
            prompt=tuple({"role": each["role"], "content": each["content"]} for each in row["prompt"]),
            data_source=row["data_source"],
            ground_truth=row["reward_model"]["ground_truth"],
            extra_info=info,
            tags={"source": row["data_source"], **_read_tags(info.get("detail"))},
        )


def _read_tags(detail: Any) -> dict[str, str]:
    try:
        found = json.loads(detail or "{}")
    except (TypeError, ValueError):
        return {}
    return {tag: found[tag] for tag in TAGS if isinstance(found, dict) and isinstance(found.get(tag), str)}
