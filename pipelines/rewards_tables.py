"""How the commands of `pipeline rewards` show things: tables on a terminal, tab-separated lines anywhere else."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rewards.checking import CheckReport, Finding
from rewards.offline import Row, Scored

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 50
_FOLDED = ("id", "what", "source", "expected", "reason", "result")
"""Columns whose cells may take several lines."""
_BAR = 30
_BANDS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

Step = Callable[..., None]
"""`step()` after each, or `step(done, total)`."""


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Step]:
    """A bar on a terminal's standard error; nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(what, total=total)

        def step(done: int | None = None, whole: int | None = None) -> None:
            if done is None:
                bars.advance(bar)
            else:
                bars.update(bar, completed=done, total=whole)

        yield step


def print_list(rewards: Sequence[tuple[str, str, Mapping[str, str], str]]) -> None:
    """Prints name, source, options with defaults and help of each reward."""
    if not sys.stdout.isatty():
        _print_lines("name", "source", "options", "help")
        for name, source, options, text in rewards:
            _print_lines(name, source, " ".join(f"{key}={value}" for key, value in options.items()), text)
        return
    from rich.padding import Padding

    console = _console()
    for name, source, options, text in rewards:
        console.print(f"[bold]{_escape(name)}[/bold]  [dim]{_escape(source)}[/dim]")
        console.print(Padding(_escape(text), (0, 0, 0, 2)))
        if options:
            shown = [f"{key}=[cyan]{_escape(value)}[/cyan]" for key, value in options.items()]
            console.print(Padding("[dim]options[/dim] " + "  ".join(shown), (0, 0, 0, 2)))
        console.print()


def print_scores(scored: Sequence[tuple[Row, Scored]], output: Path | None) -> None:
    """Prints what each response is worth and, on a terminal, at most the first of them; then all in sum."""
    if not sys.stdout.isatty():
        _print_lines("id", "score", "accuracy", "format", "reason")
        for row, mark in scored:
            _print_lines(row.id, *_show_marks(mark), _reason(mark))
        print(render_summary([mark for _, mark in scored]), file=sys.stderr)
    else:
        _print_table(
            ("id", "score", "accuracy", "format", "reason"),
            [(row.id, *_show_marks(mark), _reason(mark)) for row, mark in scored[:_SHOWN]],
        )
        if len(scored) > _SHOWN:
            where = f"in {output}" if output is not None else "with -o FILE"
            print(f"… and {len(scored) - _SHOWN:,} more: all of them {where}")
        print(render_summary([mark for _, mark in scored]))
    _print_failures(scored)


def print_report(report: CheckReport, of_rows: int) -> None:
    """Prints every mark that is not what it must be, and how much was checked."""
    sampled = f" (of {of_rows:,})" if report.rows < of_rows else ""
    none = report.rows - report.references
    said = f"{report.rows:,} rows{sampled}: {report.references:,} reference solutions and {report.cheats:,} cheats scored"
    said += f"; {none:,} rows have no reference solution" if none else ""
    print_findings(report.findings)
    if not sys.stdout.isatty():
        print(said, file=sys.stderr)
        return
    print(said)
    if not report.findings:
        print("every reference solution gets the best mark, and every cheat the worst")


def print_findings(findings: Sequence[Finding]) -> None:
    """Prints marks that are not what they must be; on a terminal the first of them."""
    header = ("id", "what", "score", "accuracy", "expected", "reason")
    lines = [
        (each.row.id, each.what, *_show_marks(each.scored)[:2], each.expected, each.reason.replace("\n", " "))
        for each in findings
    ]
    print_rows(header, lines)


def print_rows(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Prints a table, on a terminal its first lines; nothing where there is none."""
    if not lines:
        return
    if not sys.stdout.isatty():
        for line in (header, *lines):
            _print_lines(*line)
        return
    _print_table(header, lines[:_SHOWN])
    if len(lines) > _SHOWN:
        print(f"… and {len(lines) - _SHOWN:,} more")


def render_summary(marks: Sequence[Scored]) -> str:
    """Means, and how many responses reach how much."""
    good = [mark for mark in marks if mark.failed is None]
    failed = f", {len(marks) - len(good):,} failed" if len(good) < len(marks) else ""
    if not good:
        return f"{len(marks):,} responses{failed}"
    parts = [f"mean score {_mean([mark.score for mark in good]):.4g}"]
    accuracies = [mark.accuracy for mark in good if mark.accuracy is not None]
    formats = [mark.format for mark in good if mark.format is not None]
    parts += [f"mean accuracy {_mean(accuracies):.4g}"] if accuracies else []
    parts += [f"{_mean(formats):.0%} well formed"] if formats else []
    lines = [f"{len(marks):,} responses{failed}: {', '.join(parts)}"]
    if accuracies:
        counts = count_bands(accuracies)
        most = max(counts.values())
        lines += [
            f"  accuracy {name:<10} {count:>7,}  {'#' * math.ceil(_BAR * count / most)}".rstrip()
            for name, count in counts.items()
        ]
    return "\n".join(lines)


def count_bands(accuracies: Sequence[float]) -> dict[str, int]:
    """How many are 0, how many 1, and how many lie between in fifths."""
    names = {0.0: "0"} | {low: f"{low:g} to {low + 0.2:.1g}" for low in _BANDS[1:-1]} | {1.0: "1"}
    counts = {"0": 0, "above 0": 0} | {names[low]: 0 for low in _BANDS[1:-1]} | {"1": 0}
    for value in accuracies:
        if value <= 0.0:
            counts["0"] += 1
        elif value >= 1.0:
            counts["1"] += 1
        elif value < _BANDS[1]:
            counts["above 0"] += 1
        else:
            counts[names[max(low for low in _BANDS[1:-1] if low <= value)]] += 1
    return counts


def _print_failures(scored: Sequence[tuple[Row, Scored]]) -> None:
    causes: dict[str, list[str]] = {}
    for row, mark in scored:
        if mark.failed is not None:
            causes.setdefault(mark.failed, []).append(row.id)
    for cause, ids in sorted(causes.items(), key=lambda item: -len(item[1])):
        print(f"failed {len(ids):,} times, first on row {ids[0]}: {cause}", file=sys.stderr)


def _reason(mark: Scored) -> str:
    return mark.failed or "; ".join(mark.reasons)


def _show_marks(mark: Scored) -> tuple[str, str, str]:
    if mark.failed is not None:
        return ("failed", "", "")
    accuracy, form = ("" if value is None else f"{value:.4g}" for value in (mark.accuracy, mark.format))
    return (f"{mark.score:.4g}", accuracy, form)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _print_lines(*cells: str) -> None:
    print("\t".join(" ".join(cell.split()) for cell in cells))


def _print_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold", ratio=3 if name in ("reason", "result") else None, no_wrap=name not in _FOLDED)
    for line in lines:
        table.add_row(*map(_escape, line))
    _console().print(table)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
