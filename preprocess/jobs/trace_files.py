"""Python files traced into rows as ExecVerify publishes them (`pipeline data trace`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from preprocess.converters.programs import FunctionCall, ask_execution, read_calls
from preprocess.converters.shared.execution import Exercise, FileOptions
from preprocess.engine.job import Reject
from preprocess.engine.threads import count_cores, map_in_threads
from preprocess.errors import RowError
from preprocess.sources.reading import Record
from preprocess.tracing.trace import Step


def trace_files(source: Path, options: FileOptions) -> Iterator[dict[str, Any] | Reject]:
    """Yield a record for each call and task, or the reason why it has none, lazily, in the order of the files.

    The records have ExecVerify's columns, which the converter `execverify_rl` reads, and `id`.

    Raises:
        SourceError: There are no Python files, or one is not text.
        SandboxError: Programs cannot be run.
    """

    def attempt(record: Record) -> list[dict[str, Any] | Reject]:
        try:
            if record.broken:
                raise RowError(record.broken)
            called = msgspec.json.decode(record.text, type=FunctionCall)
            return [_to_record(each) for each in ask_execution(called, options)]
        except RowError as error:
            return [Reject.from_error(record.path, record.line, error)]

    with map_in_threads(count_cores()) as map_:
        for made in map_(attempt, read_calls(source, options)):
            yield from made


def _to_record(exercise: Exercise) -> dict[str, Any]:
    record = {"id": exercise.name, **exercise.truth, "prompt_str": exercise.prompt}
    if exercise.kind == "io_mixed":
        record["questions"] = [question.text for question in exercise.questions.all]
        record["trace_events"] = [_describe(step) for step in exercise.trace.steps]
    return record


def _describe(step: Step) -> dict[str, Any]:
    changed = {name: [value.kind, value.text] for name, value in step.changed.items() if value}
    return {"line": step.line, "turn": step.turn, "changed": changed}
