"""kodcode: KodCode (V1, Light-RL-10K …), questions with a solution and tests: a pytest module, or inputs and outputs."""

from __future__ import annotations

import ast
import re
import sys
from typing import Any

import msgspec

from preprocess.converters.shared.code_task import CodeOptions, CodeTask, check_choice, make_converter
from preprocess.converters.shared.signatures import Definition, find_definitions, show_signatures
from preprocess.converters.shared.tests import Pairs, parse, read_pairs
from preprocess.errors import LeftOutError, RowError

_PACKAGES = frozenset({*sys.stdlib_module_names, "sortedcontainers", "pytest", "solution"})
"""What programs and tests can import in the local sandbox."""
_NOT_IN_TESTS = frozenset({"asyncio", "multiprocessing", "socket", "subprocess", "threading", "unittest"})
"""What tests cannot import: they run in a separate process from the program."""


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


class Texts(Pairs, rename={"inputs": "stdin", "outputs": "stdout"}):
    """The tests in the style `online_judge`."""

    inputs: list[str]
    outputs: list[str]


class KodCodeOptions(CodeOptions, frozen=True, kw_only=True):
    """Options of KodCode."""

    styles: tuple[str, ...] = ()
    """Leave out other styles than these (instruct, complete, online_judge); default: take all."""
    subsets: tuple[str, ...] = ()
    """Leave out other subsets than these (Leetcode, Taco, Prefill …); default: take all."""
    packages: tuple[str, ...] = ()
    """Packages of the sandbox in addition to the standard library; questions that need others are left out."""


def _read(record: KodCode, options: KodCodeOptions) -> CodeTask:
    check_choice("style", record.style, options.styles or (record.style,))
    check_choice("subset", record.subset, options.subsets or (record.subset,))
    solution = parse(record.solution, "solution")
    tests = None if record.test.lstrip().startswith("{") else parse(record.test, "test")
    needed = _find_imports(solution) | (_find_imports(tests) if tests else set())
    if missing := sorted(needed - _PACKAGES - set(options.packages)):
        raise LeftOutError(f"it needs {', '.join(missing)}")
    if tests is None:
        signature, truth, plan = None, read_pairs(record.test, "test", options.max_tests, Texts), ""
    else:
        signature, truth, plan = _read_module(record, solution, tests, options.max_tests)
    return CodeTask(
        source="kodcode",
        statement=record.question,
        signature=signature,
        solution=record.solution.strip(),
        make_truth=lambda: truth,
        plan=plan,
        id=record.question_id,
        detail={
            "difficulty": record.gpt_difficulty,
            "gpt_pass_percentage": record.gpt_pass_percentage,
            "style": record.style,
            "subset": record.subset,
        },
    )


def _read_module(
    record: KodCode, solution: ast.Module, tests: ast.Module, max_tests: int
) -> tuple[str | None, dict[str, Any], str]:
    """Return the signature in the prompt, the ground truth, and the plan."""
    if unsupported := sorted(_find_imports(tests) & _NOT_IN_TESTS):
        raise LeftOutError(f"its tests need {', '.join(unsupported)}")
    tested = _find_tested(solution, tests)
    truth = {"pytest": _shorten(record.test, tests, max_tests)}
    # The question may show the definitions, as those of the style `complete` do.
    is_shown = all(re.search(rf"\b(def|class) {re.escape(each.name)}\b", record.question) for each in tested)
    plan = f"To write: {', '.join(each.name for each in tested)}"
    return "" if is_shown else show_signatures(tested), truth, plan


def _find_imports(tree: ast.Module) -> set[str]:
    """Return the top-level names of all modules that are imported anywhere."""
    names = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names if name}


def _find_tested(solution: ast.Module, tests: ast.Module) -> list[Definition]:
    """Return the definitions of the solution that the tests import."""
    imports = [each for each in ast.walk(tests) if isinstance(each, ast.ImportFrom) and each.module == "solution"]
    names = {name.name for each in imports for name in each.names}
    found = [node for name, node in find_definitions(solution).items() if name in names or "*" in names]
    if not found:
        raise RowError(f"its tests import {', '.join(sorted(names)) or 'nothing'} from solution, which does not define it")
    return found


def _shorten(source: str, tests: ast.Module, max_tests: int) -> str:
    """Return the module with its first test functions."""
    functions = [each for each in tests.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test")]
    if len(functions) <= max_tests:
        return source.strip()
    body: list[Any] = [each for each in tests.body if each not in functions[max_tests:]]
    return ast.unparse(ast.Module(body, []))


KODCODE = make_converter("kodcode", "KodCode: questions with a solution and a module of tests", KodCode, KodCodeOptions, _read)
