"""What white_box costs beside the published way, side by side in one run, one worker each, printed as ratios.

    python benchmarks/white_box.py cruxeval.jsonl        # CRUXEval's functions, traced by this project's converter
    python benchmarks/white_box.py                       # the small programs that come with this project

Each row's right answer, the same answer in another spelling (the assertion then has to be parsed), one with a wrong
question and one with a wrong assertion. The published way (ExecVerify) runs the row's function and the assertion in a
fresh interpreter with a limit of 0.5 s; comparing the further answers is left out of its time. Every row is scored once,
so that nothing is remembered of it.
"""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from rewards.builtin import white_box as reward
from rewards.builtin.white_box_cheats import make_reference
from rewards.entry import compute_score
from rewards.parsing.answers import make_response, take_answer
from rewards.sandbox import close_all

QUESTIONS = 10
PUBLISHED_ROWS = 150

Item = tuple[str, str]
"""Ground truth and response."""


def main(source: Path | None) -> None:
    mixed, found = trace(source, "output"), trace(source, "input")
    print(f"{len(mixed)} io_mixed rows, {len(found)} oi rows, from {source or 'the programs of this project'}")
    print(f"one interpreter that does nothing: {1e3 * nothing():.1f} ms\n")
    print(
        f"{'rows':<10} {'answers':<28} {'published/s':>12} {'ours/s':>10} {'us a row':>9} {'ratio':>7} {'through entry/s':>16}"
    )
    for kind, rows in (("io_mixed", mixed), ("oi", found)):
        for name, change in ANSWERS.items():
            items = [(row, answer) for row in rows if (answer := change(row)) is not None]
            if items and (kind == "io_mixed" or name != "a wrong question"):
                show(kind, name, items)
    # The next row's arguments: nobody knows what comes of them before the row's function is run on them.
    items = [(row, other_input(row, other)) for row, other in pairwise(found)][:PUBLISHED_ROWS]
    asyncio.run(score(items[:1]))  # opens the sandbox
    show("oi", "an input that has to be run", items)
    close_all()


def show(kind: str, name: str, items: Sequence[Item]) -> None:
    published = rate(lambda: [run_published(*item) for item in items[:PUBLISHED_ROWS]], len(items[:PUBLISHED_ROWS]))
    reward._read_truth.cache_clear()
    ours = rate(lambda: asyncio.run(score(items)), len(items))
    reward._read_truth.cache_clear()
    whole = rate(lambda: asyncio.run(score_through_entry(items)), len(items))
    print(
        f"{kind:<10} {name:<28} {published:>12.0f} {ours:>10,.0f} {1e6 / ours:>9.1f} {ours / published:>7.0f} {whole:>16,.0f}"
    )


def rate(work: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


async def score(items: Sequence[Item]) -> None:
    for truth, response in items:
        await reward.white_box("traced", response, truth, {})


async def score_through_entry(items: Sequence[Item]) -> None:
    rewards = [{"name": "white_box"}]
    for truth, response in items:
        await compute_score("traced", response, truth, {}, rewards=rewards)


def run_published(truth: str, response: str) -> bool:
    """Whether a fresh interpreter runs the row's function and the assertion to its end in half a second."""
    row, answer = json.loads(truth), take_answer(response) or ""
    program = f"{row['func_str']}\n{answer.splitlines()[0]}\n"
    try:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=0.5)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def nothing() -> float:
    return 1 / rate(lambda: [subprocess.run([sys.executable, "-c", "pass"]) for _ in range(20)], 20)


def right(truth: str) -> str | None:
    return make_reference(truth, {})


def respelled(truth: str) -> str | None:
    """The same assertion as another hand would write it; None where that makes no difference."""
    first, *rest = (take_answer(make_reference(truth, {})) or "").split("\n")
    spelled = ast.unparse(ast.parse(first)).replace(", ", ",").replace("'", '"')
    return make_response("\n".join([spelled, *rest])) if is_same(spelled, first) else None


def wrong_question(truth: str) -> str | None:
    lines = (take_answer(make_reference(truth, {})) or "").split("\n")
    return make_response("\n".join([*lines[:-1], "12345; int"])) if len(lines) > 1 else None


def wrong_assertion(truth: str) -> str | None:
    lines = (take_answer(make_reference(truth, {})) or "").split("\n")
    return make_response("\n".join([f"{lines[0][: lines[0].rindex('==')]}== 'no such value'", *lines[1:]]))


def other_input(truth: str, other: str) -> str:
    row = json.loads(truth)
    return make_response(f"assert {row['func_name']}({json.loads(other)['func_args']}) == {row['result']}")


ANSWERS: dict[str, Callable[[str], str | None]] = {
    "right": right,
    "right, in another spelling": respelled,
    "a wrong question": wrong_question,
    "a wrong assertion": wrong_assertion,
}


def is_same(one: str, other: str) -> bool:
    try:
        return one != other and ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except SyntaxError:
        return False


def trace(source: Path | None, task: str) -> list[str]:
    """Ground truths of the rows that the project's converter makes."""
    converter = "programs_execution" if source is None else "cruxeval"
    path = source or Path(__file__).resolve().parents[1] / "recipes" / "data" / "programs.py"
    options: dict[str, Any] = {"task": task, "questions": QUESTIONS}
    made = convert([Source(converter, path, None, options)], "rl")
    rows: list[Any] = [*made.rows]
    return list(dict.fromkeys(row.to_record(0, "train")["reward_model"]["ground_truth"] for row in rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
