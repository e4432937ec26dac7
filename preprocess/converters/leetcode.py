"""leetcode: LeetCodeDataset v0.2 problems: solutions to learn from, and their tests to be rewarded by."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from preprocess import prompts
from preprocess.converters.base import Converter, Fields, Options, get_text
from preprocess.converters.tests import read_test, to_truth
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import Message, RlRow, SftRow, Turn

_STARTER = "\nPlease complete the following python code precisely:\n```python\n"


class LeetCodeOptions(Options):
    """Which problems are taken."""

    max_chars: int | None = None
    """Leaves out problems whose statement, or whose solution, is longer."""
    max_tests: int = 10
    """Tests kept per problem, from the first."""


def _ask(fields: Fields, options: LeetCodeOptions) -> tuple[str, str]:
    """The prompt, and the signature it shows."""
    query, completion = get_text(fields, "query"), get_text(fields, "completion")
    if options.max_chars and max(len(query), len(completion)) > options.max_chars:
        raise LeftOutError(f"the statement or the solution is longer than max_chars {options.max_chars}")
    statement, found, starter = query.partition(_STARTER)
    if not found:
        raise RowError("query does not end with the code to complete")
    lines = [line.rstrip().replace("\xa0", " ") for line in statement.strip().splitlines()]
    signature = starter.partition("\n```")[0]
    return prompts.ask_code("\n".join(line for line in lines if line), signature), signature


def _sft(fields: Fields, options: LeetCodeOptions) -> Iterable[SftRow]:
    prompt, signature = _ask(fields, options)
    plan = f"To write: {signature.strip().splitlines()[-1].strip().removesuffix(':')}"
    response = prompts.answer_code(plan, get_text(fields, "completion"))
    return [SftRow(f"leetcode/{get_text(fields, 'task_id')}", (Turn("human", prompt), Turn("gpt", response)))]


def _rl(fields: Fields, options: LeetCodeOptions) -> Iterable[RlRow]:
    name = f"leetcode/{get_text(fields, 'task_id')}"
    prompt, _ = _ask(fields, options)
    meta = fields.get("meta")
    detail = {"solution": get_text(fields, "completion")}
    detail |= {"difficulty": meta["difficulty"]} if isinstance(meta, dict) and "difficulty" in meta else {}
    return [RlRow(name, name, "leetcode", (Message("user", prompt),), _to_truth(fields, options), detail=detail)]


def _to_truth(fields: Fields, options: LeetCodeOptions) -> dict[str, Any]:
    prelude, function = get_text(fields, "prompt"), get_text(fields, "entry_point")
    try:
        tree = ast.parse(get_text(fields, "test"))
    except (SyntaxError, ValueError) as error:
        raise RowError(f"test does not parse: {error}") from error
    check = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(check, ast.FunctionDef) or check.name != "check":
        raise RowError("test is not one function `check(candidate)`")
    check.body = check.body[: options.max_tests]
    tests = [read_test(line, "candidate") for line in check.body]
    truth = to_truth([test for test in tests if test], function, prelude) if all(tests) else None
    return truth or {"functional": f"{ast.unparse(check)}\n\ncheck({function})", "prelude": prelude}


LEETCODE = Converter(
    "leetcode",
    "LeetCodeDataset v0.2: solutions for sft, tests for rl",
    LeetCodeOptions,
    _sft,
    _rl,
    ("task_id", "prompt", "completion", "entry_point", "test", "query"),
)
