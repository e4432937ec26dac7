"""Printing the outcome of conversions: rows, rejects, prompt lengths."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.console import tables
from preprocess.engine.job import KINDS
from preprocess.jobs.single import Conversion, Result
from preprocess.rows import Shape
from rewards.wording import count


def print_result(conversion: Conversion, result: Result) -> None:
    """Print how many rows a conversion made, how many records gave none and why, and the files."""
    tally, files = result.tally, result.files
    place = str(conversion.output) if not conversion.per_file else f"{count(len(files), 'file')} in {conversion.output}"
    tables.say(f"{count(tally.records, 'record')} -> {count(result.rows, f'{conversion.shape} row')} in {place}")
    if conversion.per_file:
        tables.print_rows(("rows", "file"), [(f"{rows:,}", str(path)) for path, rows in files.items()])
    print_reasons({"": tally.summarise()})
    if any(tally.count(kind) for kind in KINDS):
        tables.say(f"rejected records with line and reason: {conversion.rejects}")


def print_lengths(summaries: Mapping[Path, Mapping[str, Any]], shape: Shape) -> None:
    """Print the token counts of the prompts or conversations of each file."""
    things = "prompts" if shape == "rl" else "conversations"
    columns = {"mean": "mean tokens", "median": "median", "percentile_95": "95% up to", "longest": "longest"}
    lines = [(str(path), *(f"{summary[name]:,}" for name in columns)) for path, summary in summaries.items()]
    tables.print_rows(("file", *columns.values()), lines)
    if unrendered := sum(summary["unrendered"] for summary in summaries.values()):
        tables.say(f"{unrendered:,} {things} do not render with the chat template and were counted without it")


def print_preparations(summaries: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the row counts of each stage: stage -> its summary.json."""
    kinds = [kind for kind in KINDS if not sys.stdout.isatty() or any(summary[kind] for summary in summaries.values())]
    lines = []
    for stage, summary in summaries.items():
        counts = [summary["records"], *summary["rows"].values(), *(sum(summary[kind].values()) for kind in kinds)]
        lines.append((stage, *(f"{count:,}" for count in counts)))
    tables.print_rows(("stage", "records", "training", "validation", *(kind.replace("_", " ") for kind in kinds)), lines)
    if kinds and sys.stdout.isatty():
        print()
    print_reasons(summaries)


def print_reasons(summaries: Mapping[str, Mapping[str, Any]]) -> None:
    """Print why records gave no rows: stage -> summary of `Tally.summarise`."""
    lines = [
        (name, kind.replace("_", " "), f"{count:,}", reason)
        for name, summary in summaries.items()
        for kind in KINDS
        for reason, count in summary[kind].items()
    ]
    drop = 0 if any(summaries) else 1
    tables.print_rows(("stage", "outcome", "count", "reason")[drop:], [line[drop:] for line in lines])
