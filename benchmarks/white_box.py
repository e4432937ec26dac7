"""Rows per second of the white_box reward, compared with the published way, on one worker each.

The published way (ExecVerify) runs the row's function and the assertion in a new interpreter, limited to 0.5 s; the comparison
of the further answers is not included in its time. Each row has several answers: the right one, the same with other spacing
and quotes (the assertion must then be parsed), one with a wrong question, and one with a wrong assertion. Every row is
scored once, so that no cache helps. `compute_score` is the whole way from verl's call to the result.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.harness import ROOT, Result, run, time_call
from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.rows import RlRow
from rewards.builtin import white_box as reward
from rewards.builtin.white_box_rows import make_reference, read_truth
from rewards.entry import compute_score
from rewards.parsing.answers import make_response, take_answer
from rewards.sandbox import close_all

QUESTIONS = 10
PUBLISHED_ROWS = 150

Item = tuple[str, str]
"""Ground truth and response."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rows", nargs="?", type=Path, help="CRUXEval's cruxeval.jsonl; default: the shipped programs")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the rates for each kind of rows and answers."""
    limit = 2 if given.quick else None
    output, input_ = (make_rows(given.rows, task)[:limit] for task in ("output", "input"))
    for kind, rows in (("io_mixed rows", output), ("oi rows", input_)):
        for name, change in ANSWERS.items():
            items = [(row, answer) for row in rows if (answer := change(row)) is not None]
            if items and (kind == "io_mixed rows" or name != "a wrong question"):
                yield from compare(f"{kind}, {name}", items)
    # The next row's arguments: the reward must run the row's function to know what it returns for them.
    items = [(row, other_input(row, other)) for row, other in pairwise(input_)][:PUBLISHED_ROWS]
    yield from compare("oi rows, an input that must be run", items)
    close_all()


def compare(name: str, items: Sequence[Item]) -> Iterator[Result]:
    sample = items[:PUBLISHED_ROWS]
    published = len(sample) / time_call(lambda: [run_published(*item) for item in sample])
    for label, work in ((name, score), (f"{name}, compute_score", score_through_entry)):
        asyncio.run(work(items[:1]))  # opens the sandbox and reads the settings
        read_truth.cache_clear()
        rate = len(items) / time_call(partial(asyncio.run, work(items)))
        yield Result(label, "rows/s", rate, published, "published way")


async def score(items: Sequence[Item]) -> None:
    for truth, response in items:
        await reward.white_box("traced", response, truth, {})


async def score_through_entry(items: Sequence[Item]) -> None:
    rewards = [{"name": "white_box"}]
    for truth, response in items:
        await compute_score("traced", response, truth, {}, rewards=rewards)


def run_published(truth: str, response: str) -> bool:
    """Return whether a new interpreter runs the row's function and the assertion successfully in half a second."""
    row, (assertion, *_) = json.loads(truth), split(response)
    program = f"{row['func_str']}\n{assertion}\n"
    try:
        return subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=0.5).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def split(response: str) -> list[str]:
    """Return the assertion and the further lines of an answer."""
    lines = (take_answer(response) or "").split("\n")
    return lines[-2:-1] if lines[-1].startswith("```") else lines


def right(truth: str) -> str | None:
    return make_reference(truth, {})


def respelled(truth: str) -> str | None:
    """Return the right answer with other spacing and quotes; None if the assertion has neither."""
    first, *rest = split(make_reference(truth, {}))
    spelled = ast.unparse(ast.parse(first)).replace(", ", ",").replace("'", '"')
    return make_response("\n".join([spelled, *rest])) if is_same(spelled, first) else None


def wrong_question(truth: str) -> str | None:
    lines = split(make_reference(truth, {}))
    return make_response("\n".join([*lines[:-1], "12345; int"])) if len(lines) > 1 else None


def wrong_assertion(truth: str) -> str | None:
    lines = split(make_reference(truth, {}))
    return make_response("\n".join([f"{lines[0][: lines[0].rindex('==')]}== 'no such value'", *lines[1:]]))


def other_input(truth: str, other: str) -> str:
    row = json.loads(truth)
    return make_response(f"assert {row['func_name']}({json.loads(other)['func_args']}) == {row['result']}")


ANSWERS: dict[str, Callable[[str], str | None]] = {
    "right": right,
    "right with other spacing": respelled,
    "a wrong question": wrong_question,
    "a wrong assertion": wrong_assertion,
}


def is_same(one: str, other: str) -> bool:
    try:
        return one != other and ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except SyntaxError:
        return False


def make_rows(source: Path | None, task: str) -> list[str]:
    """Return the ground truths of the rows that the project's converters make."""
    converter = "programs_execution" if source is None else "cruxeval"
    options: dict[str, Any] = {"task": task, "questions": QUESTIONS}
    made = convert([Source(converter, source or ROOT / "recipes" / "data" / "programs.py", None, options)], "rl")
    return list(dict.fromkeys(msgspec.json.encode(row.ground_truth).decode() for row in made.rows if isinstance(row, RlRow)))


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)
