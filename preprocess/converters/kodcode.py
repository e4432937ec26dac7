"""kodcode: KodCode's questions (V1, Light-RL-10K …), each with a solution and tests: a pytest module, or texts."""

from __future__ import annotations

import ast
import re
import sys
from typing import Any, NamedTuple

import msgspec

from preprocess.converters.shared.code_task import CodeOptions, CodeTask, make_converter
from preprocess.converters.shared.signatures import Definition, find_definitions, show_heads
from preprocess.converters.shared.tests import parse, take_pairs
from preprocess.errors import LeftOutError, RowError
from preprocess.sources.decoding import describe

_PACKAGES = frozenset({*sys.stdlib_module_names, "sortedcontainers", "pytest", "solution"})
"""What programs and tests can import in the local sandbox."""
_NOT_IN_TESTS = frozenset({"asyncio", "multiprocessing", "socket", "subprocess", "threading", "unittest"})
"""What tests cannot: they run in a process of their own, beside the program's."""


class KodCode(msgspec.Struct):
    """A question."""

    question_id: str
    question: str
    solution: str
    test: str
    style: str | None = None
    subset: str | None = None
    gpt_pass_percentage: float | None = None
    gpt_difficulty: str | None = None


class Texts(msgspec.Struct):
    """The tests of the style online_judge."""

    stdin: list[str]
    stdout: list[str]


_TEXTS = msgspec.json.Decoder(Texts)


class KodCodeOptions(CodeOptions, frozen=True, kw_only=True):
    """Which questions are taken."""

    styles: tuple[str, ...] = ()
    """Leaves out others than these, say instruct, complete, online_judge; none named: all are taken."""
    subsets: tuple[str, ...] = ()
    """Leaves out others than these, say Leetcode, Taco, Prefill; none named: all are taken."""
    packages: tuple[str, ...] = ()
    """Packages that the sandbox has beside the standard library; questions that need others are left out."""


class Asked(NamedTuple):
    """What depends on the kind of the tests."""

    signature: str | None
    truth: dict[str, Any]
    plan: str = ""


def _read(record: KodCode, options: KodCodeOptions) -> CodeTask:
    for name, found, wanted in (("style", record.style, options.styles), ("subset", record.subset, options.subsets)):
        if wanted and found not in wanted:
            raise LeftOutError(f"its {name} is {found}")
    solution = parse(record.solution, "solution")
    asked = (_read_texts if record.test.lstrip().startswith("{") else _read_module)(record, solution, options)
    facts = {
        "difficulty": record.gpt_difficulty,
        "gpt_pass_percentage": record.gpt_pass_percentage,
        "style": record.style,
        "subset": record.subset,
    }
    return CodeTask(
        source="kodcode",
        statement=record.question,
        signature=asked.signature,
        solution=record.solution.strip(),
        make_truth=lambda: asked.truth,
        plan=asked.plan,
        id=record.question_id,
        detail={name: value for name, value in facts.items() if value is not None},
    )


def _read_texts(record: KodCode, solution: ast.Module, options: KodCodeOptions) -> Asked:
    _check_packages(_find_imports(solution), options)
    try:
        texts = _TEXTS.decode(record.test)
    except msgspec.MsgspecError as error:
        raise RowError(f"test: {describe(str(error), Texts)}") from error
    return Asked(None, take_pairs(texts.stdin, texts.stdout, "test", options.max_tests))


def _read_module(record: KodCode, solution: ast.Module, options: KodCodeOptions) -> Asked:
    tests = parse(record.test, "test")
    _check_packages(_find_imports(solution) | _find_imports(tests), options)
    if unfit := sorted(_find_imports(tests) & _NOT_IN_TESTS):
        raise LeftOutError(f"its tests need {', '.join(unfit)}")
    tested = _find_tested(solution, tests)
    truth = {"pytest": _shorten(record.test, tests, options.max_tests)}
    return Asked(_show_signature(record.question, tested), truth, f"To write: {', '.join(each.name for each in tested)}")


def _check_packages(needed: set[str], options: KodCodeOptions) -> None:
    if missing := sorted(needed - _PACKAGES - set(options.packages)):
        raise LeftOutError(f"it needs {', '.join(missing)}")


def _find_imports(tree: ast.Module) -> set[str]:
    """The modules that are imported anywhere, without what lies in them."""
    names = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names if name}


def _find_tested(solution: ast.Module, tests: ast.Module) -> list[Definition]:
    """What the tests import of the solution."""
    imports = [each for each in ast.walk(tests) if isinstance(each, ast.ImportFrom) and each.module == "solution"]
    names = {name.name for each in imports for name in each.names}
    definitions = find_definitions(solution)
    found = [node for name, node in definitions.items() if name in names or "*" in names]
    if not found:
        raise RowError(f"its tests import {', '.join(sorted(names)) or 'nothing'} from solution, which defines no such thing")
    return found


def _show_signature(question: str, tested: list[Definition]) -> str:
    """The heads, unless the question shows them: those in the style complete do."""
    if all(re.search(rf"\b(def|class) {re.escape(each.name)}\b", question) for each in tested):
        return ""
    return show_heads(tested)


def _shorten(source: str, tests: ast.Module, max_tests: int) -> str:
    """The module with the first of its test functions."""
    functions = [each for each in tests.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test")]
    if len(functions) <= max_tests:
        return source.strip()
    body: list[Any] = [each for each in tests.body if each not in functions[max_tests:]]
    return ast.unparse(ast.Module(body, []))


KODCODE = make_converter(
    "kodcode",
    "KodCode: questions with a solution and a module of tests",
    KodCode,
    KodCodeOptions,
    _read,
)
