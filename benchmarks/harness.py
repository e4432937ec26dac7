"""What all benchmarks share: arguments, the table, the JSON file, and the load of the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]

# Cores that other processes may keep busy while figures are judged.
_IDLE = 0.25


@dataclass(frozen=True)
class Result:
    """One line of the table. A bound is on the ratio of ours to theirs, or on ours if there is nothing to compare with."""

    name: str
    unit: str
    ours: float | None = None
    theirs: float | None = None
    against: str = ""
    """What `theirs` is."""
    at_least: float | None = None
    at_most: float | None = None
    is_count: bool = False
    """Whether ours counts errors: judged on a busy machine, too."""
    left_out: str = ""
    """Why it was not measured."""

    @property
    def ratio(self) -> float | None:
        """Ours divided by theirs."""
        return self.ours / self.theirs if self.ours is not None and self.theirs else None

    def judge(self, reason: str) -> str:
        """Return `ok`, `too slow` or `wrong`; `not judged` if there is a reason for that."""
        figure = self.ours if self.theirs is None else self.ratio
        if self.left_out:
            return f"left out: {self.left_out}"
        if figure is None or (self.at_least is None and self.at_most is None):
            return ""
        missed = (self.at_least is not None and figure < self.at_least) or (self.at_most is not None and figure > self.at_most)
        if self.is_count:
            return "wrong" if missed else "ok"
        return f"not judged: {reason}" if reason else "too slow" if missed else "ok"


def run(
    description: str,
    measure: Callable[[argparse.Namespace], Iterable[Result]],
    add_arguments: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
) -> None:
    """Run a benchmark's command; the exit status is 1 if a figure misses its bound.

    Args:
        description: the benchmark's docstring, for `--help`.
        measure: yields the results; gets the parsed arguments.
        add_arguments: adds the benchmark's own arguments to the parser.
    """
    name = Path(sys.argv[0]).stem
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(f"python -m benchmarks.{name}", description=description, formatter_class=formatter)
    parser.add_argument("--quick", action="store_true", help="measure little, in a few seconds; the figures are not judged")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON, too")
    add_arguments(parser)
    given = parser.parse_args()
    seconds = 0.2 if given.quick else 2.0
    loads, results = [_measure_load(seconds)], []
    for result in measure(given):
        print(f"measured: {result.name}", file=sys.stderr)
        results.append(result)
    loads.append(_measure_load(seconds))
    reason = f"load {max(loads):.1f}" if max(loads) > _IDLE else "--quick" if given.quick else ""
    machine = _describe_machine(loads)
    rows = [_to_row(each, reason) for each in results]
    print_table(("measure", "ours", "theirs", "ratio", "bound", "result"), rows)
    print(f"machine: {machine['processor']}, {machine['cores']} cores, Python {machine['python']}, ", end="")
    print(f"load by other processes {loads[0]:.1f} before and {loads[1]:.1f} after")
    if given.json is not None:
        records = [asdict(each) | {"ratio": each.ratio, "result": each.judge(reason)} for each in results]
        report = {"benchmark": name, "date": time.strftime("%Y-%m-%d"), "quick": given.quick, "machine": machine}
        given.json.write_text(json.dumps(report | {"results": records}, indent=1) + "\n", encoding="utf-8")
    sys.exit(any(each.judge(reason) in ("too slow", "wrong") for each in results))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first and the last column are aligned to the left."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        middle = [f"{cell:>{width}}" for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        print("  ".join([f"{row[0]:<{widths[0]}}", *middle, row[-1]]).rstrip())


def time_call(function: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _measure_load(seconds: float) -> float:
    """Return how many cores other processes keep busy; the benchmark's own must not run meanwhile."""
    return psutil.cpu_percent(seconds) / 100 * (psutil.cpu_count() or 1)


def _describe_machine(loads: Sequence[float]) -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    processor = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load_before": round(loads[0], 2),
        "load_after": round(loads[1], 2),
    }


def _to_row(result: Result, reason: str) -> tuple[str, ...]:
    bounds = [f"at least {result.at_least:g}"] if result.at_least is not None else []
    bounds += [f"at most {result.at_most:g}"] if result.at_most is not None else []
    theirs = f"{_format(result.theirs)} ({result.against})" if result.theirs is not None else result.against
    return (
        f"{result.name}, {result.unit}",
        "" if result.ours is None else _format(result.ours),
        theirs,
        "" if result.ratio is None else f"{result.ratio:.3g}",
        ", ".join(bounds),
        result.judge(reason),
    )


def _format(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.4g}"
