"""mbpp: Mostly Basic Python Problems, full or sanitized: a sentence, a function, and assertions about it."""

from __future__ import annotations

import ast
from typing import Annotated, Any

import msgspec

from preprocess.converters.shared.code_task import CodeOptions, CodeTask, make_converter, name_problem
from preprocess.converters.shared.signatures import find_definitions, show_signatures
from preprocess.converters.shared.tests import parse
from preprocess.errors import LeftOutError, RowError


class Mbpp(msgspec.Struct):
    """A problem."""

    task_id: int
    code: str
    test_list: list[str]
    text: str | None = None
    """The statement; the sanitized set calls it prompt."""
    prompt: str | None = None
    test_setup_code: str = ""
    test_imports: list[str] = []
    """Only in the sanitized set."""


class MbppOptions(CodeOptions, frozen=True, kw_only=True):
    """Options of MBPP."""

    shown_tests: Annotated[int, msgspec.Meta(ge=0)] = 1
    """Number of tests in the prompt, from the first: the sentences say little about parameters and return values."""


def _read(record: Mbpp, options: MbppOptions) -> CodeTask:
    statement = record.text or record.prompt
    if not statement:
        raise RowError("neither text nor prompt")
    code = record.code.replace("\r\n", "\n").strip()
    definitions = find_definitions(parse(code, "code"))
    tests = [_read_test(source) for source in record.test_list]
    called = {name for test in tests for name in _find_names(test)}
    used = [name for name, node in definitions.items() if name in called and isinstance(node, ast.FunctionDef)]
    if len(used) != 1:
        raise RowError(f"its tests call {', '.join(used) or 'nothing'} of the solution, expected one function")
    shown = [ast.unparse(test) for test in tests[: options.shown_tests]]
    return CodeTask(
        source="mbpp",
        statement="\n".join([statement.strip(), *(["For example:", *shown] if shown else [])]),
        signature=show_signatures([definitions[used[0]]]),
        solution=code,
        make_truth=lambda: _make_truth(record, tests[: options.max_tests], used[0], set(definitions)),
        id=f"mbpp/{record.task_id}",
        problem=name_problem("mbpp", statement),
        plan=statement,
    )


def _read_test(source: str) -> ast.Assert:
    body = parse(source, "test_list").body
    if len(body) != 1 or not isinstance(body[0], ast.Assert):
        raise RowError(f"test_list: {source[:60]!r} is not one assertion")
    return body[0]


def _make_truth(record: Mbpp, tests: list[ast.Assert], function: str, defined: set[str]) -> dict[str, Any]:
    setup = parse("\n".join([*record.test_imports, record.test_setup_code]), "test_setup_code")
    needed = {name for tree in (setup, *tests) for name in _find_names(tree)} & defined - {function}
    if needed:
        raise LeftOutError(f"its tests use {', '.join(sorted(needed))} of the solution, which its statement does not name")
    check = ["def check(candidate):", *(f"    {_rename(test, function)}" for test in tests)]
    parts = [ast.unparse(setup), "\n".join(check), f"check({function})"]
    return {"functional": "\n\n".join(part for part in parts if part)}


def _find_names(tree: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}


def _rename(test: ast.Assert, function: str) -> str:
    """Return the source of a test that calls `candidate` instead of the function."""
    tree = parse(ast.unparse(test), "test_list")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == function:
            node.id = "candidate"
    return ast.unparse(tree)


MBPP = make_converter("mbpp", "MBPP: short functions to write, with their tests", Mbpp, MbppOptions, _read)
