"""Tables of rewards' scores."""

from __future__ import annotations

import math
import sys
from bisect import bisect
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from pipelines.console.tables import print_rows, say
from rewards.trial.checking import CheckReport, Finding
from rewards.trial.free import FreeReport
from rewards.trial.offline import Row, Scored

_BAR = 30


def print_scores(scored: Sequence[tuple[Row, Scored]], output: Path | None) -> None:
    """Print the score of each response, on a terminal the first ones, then a summary."""
    lines = [(row.id, *_show_marks(mark), mark.failed or "; ".join(mark.reasons)) for row, mark in scored]
    print_rows(("id", "score", "accuracy", "format", "reason"), lines, f"; all in {output}" if output else "; all with -o FILE")
    for line in render_summary([mark for _, mark in scored]).splitlines():
        say(line)
    failed = defaultdict(list)
    for row, mark in scored:
        if mark.failed is not None:
            failed[mark.failed].append(row.id)
    for cause, ids in sorted(failed.items(), key=lambda item: -len(item[1])):
        print(f"failed {len(ids):,} times, first on row {ids[0]}: {cause}", file=sys.stderr)


def print_report(report: CheckReport, of_rows: int) -> None:
    """Print every wrong score and how much was checked."""
    sampled = f" (of {of_rows:,})" if report.rows < of_rows else ""
    none = report.rows - report.references
    summary = f"{report.rows:,} rows{sampled}: {report.references:,} reference solutions and {report.cheats:,} cheats scored"
    print_findings(report.findings)
    say(summary + (f"; {none:,} rows have no reference solution" if none else ""))
    if not report.findings:
        say("every reference solution gets full marks, and every cheat gets none")
    print_free([((), each) for each in report.free], ())


def print_findings(findings: Sequence[Finding]) -> None:
    """Print wrong scores; on a terminal the first ones."""
    lines = [
        (each.row.id, each.what, *_show_marks(each.scored)[:2], each.expected, each.reason.replace("\n", " "))
        for each in findings
    ]
    print_rows(("id", "what", "score", "accuracy", "expected", "reason"), lines)


def print_free(reports: Sequence[tuple[tuple[str, ...], FreeReport]], header: tuple[str, ...]) -> None:
    """Print what answers that cost nothing earn.

    Args:
        reports: the first cells of a line, and its report.
        header: the names of the first cells.
    """
    lines = [(*cells, *_show_free(each)) for cells, each in reports]
    if lines:
        columns = ("source", "rows", "nothing", "constant", "per row", "in prompt", "blank")
        if sys.stdout.isatty():
            say("answers without a solution earn on average:")
        print_rows((*header, *columns), lines)


def _show_free(free: FreeReport) -> tuple[str, ...]:
    constant = f"{free.constant_earns:.2g} ({free.constant})" if free.constant else "0"
    counts = (f"{count:,} ({count / free.rows:.0%})" if count else "0" for count in (free.shown, free.blank))
    return (free.source, f"{free.rows:,}", f"{free.nothing:.2g}", constant, f"{free.row_constant_earns:.2g}", *counts)


def render_summary(marks: Sequence[Scored]) -> str:
    """Return means and a histogram of accuracies."""
    good = [mark for mark in marks if mark.failed is None]
    counted = f"{len(marks):,} responses" + (f", {len(marks) - len(good):,} failed" if len(good) < len(marks) else "")
    if not good:
        return counted
    accuracies = [mark.accuracy for mark in good if mark.accuracy is not None]
    formats = [mark.format for mark in good if mark.format is not None]
    means = [f"mean score {fmean(mark.score for mark in good):.4g}"]
    means += [f"mean accuracy {fmean(accuracies):.4g}"] if accuracies else []
    means += [f"{fmean(formats):.0%} well formed"] if formats else []
    lines = [f"{counted}: {', '.join(means)}"]
    if accuracies:
        bands = count_bands(accuracies)
        bars = {name: "#" * math.ceil(_BAR * count / max(bands.values())) for name, count in bands.items()}
        lines += [f"  accuracy {name:<10} {count:>7,}  {bars[name]}".rstrip() for name, count in bands.items()]
    return "\n".join(lines)


def count_bands(accuracies: Sequence[float]) -> dict[str, int]:
    """Count accuracies of 0, of 1, and in fifths between."""
    names = ("0", "above 0", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 to 1", "1")
    counts = dict.fromkeys(names, 0)
    for value in accuracies:
        counts[names[bisect((0.2, 0.4, 0.6, 0.8, 1.0), value) + 1 if value > 0 else 0]] += 1
    return counts


def _show_marks(mark: Scored) -> tuple[str, str, str]:
    if mark.failed is not None:
        return ("failed", "", "")
    accuracy, form = ("" if value is None else f"{value:.4g}" for value in (mark.accuracy, mark.format))
    return (f"{mark.score:.4g}", accuracy, form)
