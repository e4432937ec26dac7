"""Evaluations as tables: a summary, a comparison, a chain of models."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.console.tables import print_rows, say
from pipelines.evaluation.chain import Link
from pipelines.evaluation.comparison import Comparison, Difference
from pipelines.evaluation.measures import BANDS, Measures
from pipelines.evaluation.readiness import Readiness, percent
from pipelines.evaluation.statistics import Figure
from pipelines.evaluation.summary import SetSummary, Summary


@dataclass(frozen=True)
class Table:
    """A table with a title above and notes below. At 80 columns no cell is cut."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    """The first cell is the set, which is left out on a terminal if the title names it."""
    notes: tuple[str, ...] = ()
    is_of_set: bool = True
    """Whether all lines are of the set in the title."""


def print_tables(tables: Sequence[Table]) -> None:
    """Print tables on a terminal, tab-separated lines elsewhere."""
    terminal = sys.stdout.isatty()
    for number, table in enumerate(tables):
        if terminal and number:
            print()
        _say(table.title, terminal)
        sys.stdout.flush()
        drop = int(terminal and table.is_of_set)
        print_rows(table.header[drop:], [line[drop:] for line in table.lines], "; all with --json")
        sys.stdout.flush()
        for note in table.notes:
            _say(note, terminal)


def _say(text: str, terminal: bool) -> None:
    """Print a title or note, on a terminal in lines of its width."""
    width = shutil.get_terminal_size().columns if terminal else sys.maxsize
    for line in textwrap.wrap(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False):
        say(line)


def summary_tables(summary: Summary) -> list[Table]:
    """Return the tables of an evaluation, one or two per set."""
    tables = []
    for one in summary.sets.values():
        tables.append(_figures(one))
        if one.overall.bands:
            tables.append(_bands(one))
    return tables


def comparison_table(comparison: Comparison) -> Table:
    """Return the table of a comparison."""
    lines, notes = [], []
    for name, one in comparison.sets.items():
        for figure in _distinct(one.figures, one.metric):
            each = one.figures[figure]
            counts = f"{each.won:,} / {each.lost:,} / {each.tied:,}"
            lines.append((name, figure, *_show_both(figure, each), show_difference(figure, each.difference), counts))
        notes += [f"{name}: {text}" for text in _describe_pairing(one.only_first, one.only_second, one.changed)]
        metric = one.figures.get(one.metric)
        if metric is not None and not metric.difference.has_sign:
            notes.append(f"{name}: the models are not distinguishable in {one.metric}: the interval contains 0")
    return Table(
        title=f"first: {comparison.first}; second: {comparison.second} (in percent, 95 % interval)",
        header=("set", "figure", "first", "second", "difference", "won / lost / tied"),
        lines=tuple(lines),
        notes=(*notes, *(f"not compared: {reason}" for reason in comparison.refused.values())),
        is_of_set=False,
    )


def chain_tables(links: Sequence[Link]) -> list[Table]:
    """Return a table per set: each model with its change from the one before, then the change of the whole chain."""
    sets = dict.fromkeys(name for link in links for name in link.summary.sets)
    return [_chain_table(name, [link for link in links if name in link.summary.sets]) for name in sets]


def readiness_lines(readiness: Readiness) -> list[str]:
    """Return what several samples show, and the advice."""
    low, high = (f"{100 * each:.0f}" for each in (readiness.mixed_interval.low, readiness.mixed_interval.high))
    return [
        f"prompts: {percent(readiness.always_fail.share)} always fail, {percent(readiness.always_pass.share)} always pass, "
        f"{percent(readiness.mixed.share)} mixed ({low} to {high})",
        f"one sample passes {show('', readiness.once)}, one of all {show('', readiness.best)}",
        f"{'ready' if readiness.ready else 'not ready'} for RL: {readiness.advice}",
    ]


def show(name: str, figure: Figure) -> str:
    """Return a figure with its interval: `41.5 (34.1 to 48.8)` in percent; a score as it is."""
    value, low, high = (_show_value(name, each) for each in (figure.value, figure.low, figure.high))
    return f"{value} ({low} to {high})"


def show_difference(name: str, figure: Figure) -> str:
    """Return a difference with its interval: `+3.7 (-0.6 to 8.0)`."""
    return f"{'+' if figure.value > 0 else ''}{show(name, figure)}"


def _show_value(name: str, value: float) -> str:
    text = f"{value:.3f}" if name == "score" else f"{100 * value:.1f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _show_both(name: str, each: Difference) -> tuple[str, str]:
    return _show_value(name, each.first), _show_value(name, each.second)


def _figures(summary: SetSummary) -> Table:
    header = ("set", "what", "figure", "value", "problems")
    lines = [
        (summary.name, what, name, show(name, figure), f"{figure.problems:,}")
        for what, measures in _parts(summary)
        for name, figure in measures.figures.items()
        # Of groups only the metric: with every figure the table would be too long to read.
        if name in (_distinct(measures.figures, summary.metric) if measures is summary.overall else [summary.metric])
    ]
    return Table(_title(summary), header, tuple(lines), tuple(_describe_responses(summary)))


def _bands(summary: SetSummary) -> Table:
    lines = []
    for what, measures in _parts(summary):
        bands = measures.bands or {}
        total = max(1, sum(bands.values()))
        lines.append((summary.name, what, *(f"{100 * bands.get(band, 0) / total:.1f}" for band in BANDS)))
    return Table(f"{summary.name}: responses by share of tests (in percent)", ("set", "what", *BANDS), tuple(lines))


def _parts(summary: SetSummary) -> Iterator[tuple[str, Measures]]:
    yield "all", summary.overall
    for tag, values in summary.groups.items():
        if len(values) > 1:
            yield from ((f"{tag} {value}", measures) for value, measures in values.items())


def _distinct(figures: Mapping[str, Figure] | Mapping[str, Difference], metric: str) -> list[str]:
    """Return the figures to show: one of those with the same values, and the score only if it is the metric."""
    ordered = sorted(figures, key=lambda name: name != metric)
    first = {figures[name]: name for name in reversed(ordered)}
    return [name for name in figures if name in first.values() and (name != "score" or metric == "score")]


def _title(summary: SetSummary) -> str:
    problems = summary.overall.problems
    return f"{summary.name}: {problems:,} problems, {summary.sampling} (in percent, 95 % interval)"


def _describe_responses(summary: SetSummary) -> Iterator[str]:
    all_of, tokens = summary.overall, summary.overall.tokens
    formed = f", {percent(all_of.has_form.share)} in the asked form" if all_of.has_form else ""
    calls = f", {all_of.calls:.1f} calls of the tool" if all_of.calls else ""
    yield f"{all_of.cut.of:,} responses: {percent(all_of.cut.share)} cut{formed}, {all_of.failed.count:,} failed{calls}"
    yield f"tokens: mean {tokens.mean:,.0f}, median {tokens.median:,.0f}, 90 % up to {tokens.p90:,}, longest {tokens.max:,}"
    if summary.incomplete.count:
        yield (
            f"{summary.incomplete.count:,} of {summary.incomplete.of:,} problems lack responses and are in no figure; "
            "start `pipeline evaluate` again to resume"
        )
    for cause, count in summary.failures.items():
        yield f"failed {count:,} times, counted as wrong: {cause}"


def _describe_pairing(only_first: int, only_second: int, changed: int) -> Iterator[str]:
    if only_first or only_second:
        yield f"{only_first:,} problems only in the first, {only_second:,} only in the second: not compared"
    if changed:
        yield f"{changed:,} problems have another expected result in the second: not compared"


def _chain_table(name: str, links: Sequence[Link]) -> Table:
    last = links[-1].summary.sets[name]
    metric = last.metric
    lines = []
    for link in links:
        one = link.summary.sets[name]
        figure = one.overall.figures.get(metric)
        value = "" if figure is None else show(metric, figure)
        lines.append((name, link.name, value, _show_change(link.change, name, metric), f"{one.overall.problems:,}"))
    if change := _show_change(links[-1].total, name, metric):
        lines.append((name, f"{links[0].name} -> {links[-1].name}", "", change, ""))
    samplings = {link.summary.sets[name].temperature: link.summary.sets[name].sampling for link in links}
    notes = (f"{name}: {' and '.join(samplings.values())} are not comparable",) if len(samplings) > 1 else ()
    title = f"{name}: {metric}, {last.sampling} (in percent, 95 % interval)"
    return Table(title, ("set", "model", "value", "change", "problems"), tuple(lines), notes)


def _show_change(comparison: Comparison | None, name: str, metric: str) -> str:
    if comparison is None or name not in comparison.sets or metric not in comparison.sets[name].figures:
        return ""
    return show_difference(metric, comparison.sets[name].figures[metric].difference)
