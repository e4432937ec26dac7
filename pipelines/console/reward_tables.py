"""Tables of rewards and scores."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.console.tables import SHOWN, escape, make_console, print_line, print_rows, print_table
from rewards.trial.checking import CheckReport, Finding
from rewards.trial.offline import Row, Scored

_BAR = 30
_BANDS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def print_list(rewards: Sequence[tuple[str, str, Mapping[str, str], str]]) -> None:
    """Print name, source, options with defaults and help of each reward."""
    if not sys.stdout.isatty():
        print_line("name", "source", "options", "help")
        for name, source, options, text in rewards:
            print_line(name, source, " ".join(f"{key}={value}" for key, value in options.items()), text)
        return
    from rich.padding import Padding

    terminal = make_console()
    for name, source, options, text in rewards:
        terminal.print(f"[bold]{escape(name)}[/bold]  [dim]{escape(source)}[/dim]")
        terminal.print(Padding(escape(text), (0, 0, 0, 2)))
        if options:
            shown = [f"{key}=[cyan]{escape(value)}[/cyan]" for key, value in options.items()]
            terminal.print(Padding("[dim]options[/dim] " + "  ".join(shown), (0, 0, 0, 2)))
        terminal.print()


def print_scores(scored: Sequence[tuple[Row, Scored]], output: Path | None) -> None:
    """Print the score of each response, on a terminal the first ones, then a summary."""
    if not sys.stdout.isatty():
        print_line("id", "score", "accuracy", "format", "reason")
        for row, mark in scored:
            print_line(row.id, *_show_marks(mark), _reason(mark))
        print(render_summary([mark for _, mark in scored]), file=sys.stderr)
    else:
        print_table(
            ("id", "score", "accuracy", "format", "reason"),
            [(row.id, *_show_marks(mark), _reason(mark)) for row, mark in scored[:SHOWN]],
        )
        if len(scored) > SHOWN:
            where = f"in {output}" if output is not None else "with -o FILE"
            print(f"… and {len(scored) - SHOWN:,} more; all {where}")
        print(render_summary([mark for _, mark in scored]))
    _print_failures(scored)


def print_report(report: CheckReport, of_rows: int) -> None:
    """Print every wrong score and how much was checked."""
    sampled = f" (of {of_rows:,})" if report.rows < of_rows else ""
    none = report.rows - report.references
    summary = f"{report.rows:,} rows{sampled}: {report.references:,} reference solutions and {report.cheats:,} cheats scored"
    summary += f"; {none:,} rows have no reference solution" if none else ""
    print_findings(report.findings)
    if not sys.stdout.isatty():
        print(summary, file=sys.stderr)
        return
    print(summary)
    if not report.findings:
        print("every reference solution gets full marks, and every cheat gets none")


def print_findings(findings: Sequence[Finding]) -> None:
    """Print wrong scores; on a terminal the first ones."""
    header = ("id", "what", "score", "accuracy", "expected", "reason")
    lines = [
        (each.row.id, each.what, *_show_marks(each.scored)[:2], each.expected, each.reason.replace("\n", " "))
        for each in findings
    ]
    print_rows(header, lines)


def render_summary(marks: Sequence[Scored]) -> str:
    """Return means and a histogram of accuracies."""
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
    """Count accuracies of 0, of 1, and in fifths between."""
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
