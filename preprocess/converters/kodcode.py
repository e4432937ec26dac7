"""kodcode: KodCode (V1, Light-RL-10K …), questions with a solution and tests: a pytest module, or inputs and outputs."""

from __future__ import annotations

import ast
import re
from typing import Any

import msgspec

from preprocess.converters.shared.code_task import CodeOptions, CodeTask, check_choice, make_converter
from preprocess.converters.shared.packages import find_imports, find_missing_packages
from preprocess.converters.shared.signatures import Definition, find_definitions, show_signatures
from preprocess.converters.shared.tests import Pairs, parse, read_pairs
from preprocess.errors import LeftOutError, RowError
from rewards.parsing.programs import find_free_names

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


def _read(record: KodCode, options: KodCodeOptions) -> CodeTask:
    check_choice("style", record.style, options.styles or (record.style,))
    check_choice("subset", record.subset, options.subsets or (record.subset,))
    solution = parse(record.solution, "solution")
    tests = None if record.test.lstrip().startswith("{") else parse(record.test, "test")
    needed = find_imports(solution) | (find_imports(tests) if tests else set())
    if missing := find_missing_packages(needed, options.packages):
        raise LeftOutError(f"it needs {missing}")
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
    if unsupported := sorted(find_imports(tests) & _NOT_IN_TESTS):
        raise LeftOutError(f"its tests need {', '.join(unsupported)}")
    source = record.test
    if "solution" not in find_imports(tests):
        tests = _add_import(record.question, solution, tests)
        source = ast.unparse(tests)
    tested = _find_tested(solution, tests)
    truth = {"pytest": _shorten(source, tests, max_tests)}
    # The question may show the definitions, as those of the style `complete` do.
    is_shown = all(re.search(rf"\b(def|class) {re.escape(each.name)}\b", record.question) for each in tested)
    plan = f"To write: {', '.join(each.name for each in tested)}"
    return "" if is_shown else show_signatures(tested), truth, plan


def _add_import(question: str, solution: ast.Module, tests: ast.Module) -> ast.Module:
    """Return tests that import what they use of the solution: their own runner puts `from solution import *` before them.

    Raises:
        RowError: they use nothing that it defines.
        LeftOutError: they use a variable of it that the question does not name.
    """
    needed = find_free_names(ast.unparse(tests))
    names = sorted(needed & set(find_definitions(solution)))
    if not names:
        raise RowError("its tests import nothing from solution and use nothing that it defines")
    variables = sorted(needed & {each.id for line in solution.body for each in _find_targets(line)})
    if unknown := [name for name in variables if not re.search(rf"\b{name}\b", question)]:
        raise LeftOutError(f"its tests use {', '.join(unknown)} of the solution, which its question does not name")
    # An answer need not import the same names.
    modules = [each for each in solution.body if isinstance(each, ast.Import | ast.ImportFrom) and needed & _find_bound(each)]
    added = [*modules, ast.ImportFrom("solution", [ast.alias(name) for name in (*names, *variables)], 0)]
    place = next((number for number, each in enumerate(tests.body) if not _is_preamble(each)), 0)
    return ast.Module([*tests.body[:place], *added, *tests.body[place:]], [])


def _find_targets(statement: ast.stmt) -> list[ast.Name]:
    """Return the variables that an assignment binds."""
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return []
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return [each for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]


def _find_bound(statement: ast.Import | ast.ImportFrom) -> set[str]:
    return {(each.asname or each.name).partition(".")[0] for each in statement.names}


def _is_preamble(statement: ast.stmt) -> bool:
    """Check for a docstring or an import from `__future__`, which must come first."""
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_text or (isinstance(statement, ast.ImportFrom) and statement.module == "__future__")


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
