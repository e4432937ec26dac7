"""Parse the ground truth of a row of tests, once per row: GRPO scores many samples of it."""

from __future__ import annotations

import ast
import json
import re
import threading
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any, Literal

from rewards.errors import GroundTruthError
from rewards.parsing.assertion import Arguments
from rewards.parsing.programs import find_free_names
from rewards.programs.candidate import SourceTests, find_solution_names, pack_arguments
from rewards.programs.checker import Checker
from rewards.programs.expected_calls import read_check
from rewards.programs.inside.isolated_tests.pytest_shim.support import find_unsupported, runs_code
from rewards.programs.inside.judge.check import Check
from rewards.programs.inside.judge.comparison import Rules
from rewards.wording import count, kind_of

Choose = Literal["first", "longest"]


@dataclass(frozen=True)
class TextTests:
    """Standard inputs and the expected outputs."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rules: Rules
    checker: Checker | None = None
    """Decides instead of the comparison with the expected outputs."""


@dataclass(frozen=True)
class CallTests:
    """Tests of a function's values. A test passes if all of its checks do."""

    function: str
    prelude: str | None
    """None: the imports that graders add, as in `call_function`."""
    tests: tuple[tuple[tuple[str, Check], ...], ...]
    """Per test: the arguments of its calls, from `pack_arguments`, and the checks of their values."""
    source: SourceTests | None = None
    """The same tests as source, for results that are not plain data. None: the tests are inputs and outputs."""
    checker: Checker | None = None
    """Decides instead of the checks."""


Tests = TextTests | CallTests | SourceTests

_RULES = ("case_insensitive", "float_tolerance")
_NUMBER_KEY = re.compile(r"-?\d{1,18}", re.ASCII)
_MOST_CACHED = 64 << 20
_lock = threading.Lock()
_cache: dict[tuple[str, int, str], Tests] = {}
_cached = 0


def read_tests(ground_truth: str, max_tests: int, choose: Choose = "first") -> Tests:
    """Return the chosen tests of a row, and cache them for the next response.

    Raises:
        GroundTruthError: The row is invalid.
    """
    global _cached  # noqa: PLW0603 (one cache per process, bounded by the length of its keys)
    key = (ground_truth, max_tests, choose)
    try:
        return _cache[key]
    except (KeyError, TypeError):
        tests = _read(ground_truth, max_tests, choose)
    with _lock:
        if key not in _cache:
            _cache[key] = tests
            _cached += len(ground_truth)
        while _cached > _MOST_CACHED and len(_cache) > 1:
            oldest = next(iter(_cache))
            del _cache[oldest]
            _cached -= len(oldest[0])
    return tests


def _read(ground_truth: str, max_tests: int, choose: Choose) -> Tests:
    try:
        truth = json.loads(ground_truth)
    except (TypeError, ValueError, RecursionError) as error:
        raise GroundTruthError(f"the ground truth is not JSON: {error}") from error
    if not isinstance(truth, dict):
        raise GroundTruthError(f"the ground truth is {kind_of(truth)}, expected an object")
    prelude = truth.get("prelude") or ""
    _parse(prelude, "prelude")
    lenient = [name for name in (*_RULES, "checker") if truth.get(name)]
    if lenient and "inputs" not in truth:
        raise GroundTruthError(f"{lenient[0]} is given without `inputs`: source tests decide themselves what they accept")
    if "functional" in truth:
        return _read_functional(truth["functional"], prelude, max_tests, choose)
    if "pytest" in truth:
        return _read_pytest(truth["pytest"], prelude, max_tests)
    if "\\ud" in ground_truth.lower():
        _check_characters(truth)
    if "inputs" not in truth:
        found = ", ".join(map(str, truth)) or "nothing"
        raise GroundTruthError(f"the ground truth has {found[:80]}; expected inputs and outputs, functional, or pytest")
    return _read_pairs(truth, prelude, max_tests, choose)


def _check_characters(value: Any) -> None:
    """Check that values can be written as UTF-8, as inputs of programs are."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise GroundTruthError("it has half of a surrogate pair, which is not a character") from None


def _read_pairs(truth: dict[str, Any], prelude: str, max_tests: int, choose: Choose) -> Tests:
    checker, rules = _read_checker(truth), _read_rules(truth)
    inputs = truth["inputs"]
    outputs = truth.get("outputs", [None] * len(inputs) if checker and isinstance(inputs, list) else None)
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        raise GroundTruthError("`inputs` and `outputs` must be lists")
    if len(inputs) != len(outputs) or not inputs:
        raise GroundTruthError(
            f"{count(len(inputs), 'input')} and {count(len(outputs), 'output')}; expected equal numbers, at least 1"
        )
    pairs = _choose(list(zip(inputs, outputs, strict=True)), max_tests, choose, lambda pair: len(str(pair[0])))
    name = truth.get("fn_name")
    if not name:
        texts = tuple(read_text(given) for given, _ in pairs)
        # Without a checker, None is the text "None".
        expected = tuple("" if checker and output is None else read_text(output) for _, output in pairs)
        return TextTests(texts, expected, rules, Checker(checker, texts, expected) if checker else None)
    if not isinstance(name, str) or not is_function(name):
        raise GroundTruthError(f"fn_name is {str(name)[:60]!r}, expected the name of a function, or Class().method")
    keys = truth.get("integer_keys") is not False
    given = [_read_arguments(each, keys) for each, _ in pairs]
    wanted = [_read_output(output, each) for each, output in pairs]
    tests = [[(each, _make_check(output, rules, keys))] for each, output in zip(given, wanted, strict=True)]
    passed = tuple(dict(each.kwargs) or list(each.args) for each in given)
    return _pack(name, prelude or None, tests, checker=Checker(checker, passed, tuple(wanted)) if checker else None)


def _read_rules(truth: dict[str, Any]) -> Rules:
    flags = [truth.get(name) or False for name in ("any_order", "case_insensitive")]
    if not all(isinstance(flag, bool) for flag in flags):
        raise GroundTruthError("any_order and case_insensitive must be true or false")
    tolerance = truth.get("float_tolerance") or 0.0
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        raise GroundTruthError(f"float_tolerance is {str(tolerance)[:60]}, expected a number from 0 to 1")
    return Rules(flags[0], flags[1], float(tolerance))


def _read_checker(truth: dict[str, Any]) -> str:
    source = truth.get("checker") or ""
    tree = _parse(source, "checker")
    if not source:
        return ""
    checks = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "check"]
    if len(checks) != 1 or len(checks[0].args.posonlyargs + checks[0].args.args) != 3:
        raise GroundTruthError("the checker defines no function check(input, output, expected)")
    if found := next(filter(None, map(runs_code, ast.walk(tree))), ""):
        raise GroundTruthError(f"the checker uses {found}, which could run an output of the program")
    return str(source)


def find_tested_names(tests: Tests) -> list[str]:
    """Return the functions and classes that a program must define for these tests; none if it reads standard input."""
    if isinstance(tests, TextTests):
        return []
    if isinstance(tests, CallTests) or tests.function:
        return [tests.function.partition(".")[0].removesuffix("()")]
    source = "\n".join((*tests.sources, tests.helpers))
    # Tests that import everything may use any name of the program.
    return find_solution_names(source) or sorted(find_free_names(source))


def read_text(value: Any) -> str:
    """Return a standard input or an expected output. Some rows of APPS have lists of lines."""
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _read_arguments(given: object, integer_keys: bool) -> Arguments:
    if isinstance(given, str):  # one JSON value per line, as in LiveCodeBench and in the rows of verl's grader
        try:
            values = [json.loads(line) for line in given.split("\n")]
        except ValueError as error:
            raise GroundTruthError(f"an input is {given[:60]!r}, expected a list of arguments, or JSON per line") from error
        _check_characters(values)
        given = values
    if isinstance(given, dict):
        return Arguments(kwargs=tuple(given.items()))
    if isinstance(given, list):
        return Arguments(tuple(map(_restore_keys, given) if integer_keys else given))
    raise GroundTruthError(f"an input is {str(given)[:60]!r}, expected a list of arguments or an object of keyword arguments")


def _read_output(output: Any, given: Any) -> Any:
    if isinstance(given, str) and isinstance(output, str):
        try:
            value = json.loads(output)
        except ValueError as error:
            raise GroundTruthError(f"an output is {output[:60]!r}, expected JSON like its input") from error
        _check_characters(value)
        return value
    return output


def _make_check(expected: Any, rules: Rules, integer_keys: bool) -> Check:
    # APPS and Eurus wrap most, but not all, expected values in a list of one. Their graders accept both.
    accepted = [expected, expected[0]] if isinstance(expected, list) and len(expected) == 1 else [expected]
    if integer_keys:
        accepted += [restored for each in accepted if (restored := _restore_keys(each)) is not each]
    return Check("accepted", expected, alternatives=tuple(accepted[1:]), rules=rules)


def _restore_keys(value: Any) -> Any:
    """Turn the keys of a dict back into integers if JSON made strings of them, as PRIME's grader does."""
    if isinstance(value, dict) and value and all(_NUMBER_KEY.fullmatch(key) for key in value):
        return {int(key): item for key, item in value.items()}
    return value


def _read_functional(source: Any, prelude: str, max_tests: int, choose: Choose) -> Tests:
    tree = _parse(source, "functional")
    match tree.body:
        case [*_, ast.Expr(value=ast.Call(func=ast.Name(id=check), args=[tested]))]:
            function = _unparse(tested)
        case _:
            raise GroundTruthError("the tests do not end with `check(function)`")
    if not is_function(function):
        raise GroundTruthError(f"the function under test is {function[:60]!r}, expected a name or Class().method")
    checks = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == check]
    if len(checks) != 1 or len(checks[0].args.args) != 1:
        raise GroundTruthError(f"the tests define no function {check} of one argument")
    candidate = checks[0].args.args[0].arg
    lines = [line for line in checks[0].body if not _is_trivial(line)]
    if not lines:
        raise GroundTruthError("the tests assert nothing")
    if found := next(filter(None, (runs_code(node, but=("eval",)) for node in ast.walk(tree))), ""):
        raise GroundTruthError(f"the tests use {found}, which could run text of the program")
    helpers = _unparse(ast.Module(tree.body[:-1], []))
    if not all(isinstance(line, ast.Assert) for line in lines):
        return SourceTests("check", (f"{check}(candidate)",), helpers, function, prelude)
    lines = _choose(lines, max_tests, choose, lambda line: (line.end_col_offset or 0) - line.col_offset)
    name = f"{candidate} = candidate\n" if candidate != "candidate" else ""
    tests = SourceTests("asserts", tuple(map(_unparse, lines)), name + helpers, function, prelude)
    plain = [read_check(line, candidate) for line in lines]
    return _pack(function, prelude, [[each] for each in plain if each], tests) if all(plain) else tests


def is_function(text: str) -> bool:
    """Return whether it is a name, or Class().method."""
    owner, dot, name = text.rpartition("().")
    return all(part.isidentifier() and not iskeyword(part) for part in (owner, name)[not dot :])


def _unparse(node: ast.AST) -> str:
    try:
        return ast.unparse(node)
    except ValueError as error:  # an integer of more digits than Python writes
        raise GroundTruthError(f"the tests cannot be written: {error}") from None


def _read_pytest(source: Any, prelude: str, max_tests: int) -> Tests:
    tree = _parse(source, "pytest")
    source_tests = SourceTests("pytest", (source,), prelude=prelude)
    plain = _read_plain_pytest(tree)
    if plain is not None:
        function, tests = plain
        return _pack(function, prelude, tests[:max_tests], source_tests)
    functions = [each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    if not any(name.startswith("test") for name in functions):
        raise GroundTruthError("the tests define no function whose name begins with test")
    if unsupported := find_unsupported(tree):
        raise GroundTruthError(f"the tests use {unsupported}, which is not supported")
    return source_tests


def _read_plain_pytest(tree: ast.Module) -> tuple[str, list[list[tuple[Arguments, Check]]]] | None:
    """Read a module that consists only of functions of plain assertions on one function of `solution`; else None."""
    names: list[ast.alias] = []
    tests: list[ast.FunctionDef] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "solution" and node.level == 0:
            names += node.names
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test") and not node.decorator_list:
            tests.append(node)
        elif not (isinstance(node, ast.Import | ast.ImportFrom) or _is_trivial(node)):
            return None
    if len(names) != 1 or names[0].name == "*" or not tests:
        return None
    if len({test.name for test in tests}) != len(tests) or any(ast.unparse(test.args) for test in tests):
        return None
    bodies = [[line for line in test.body if not _is_trivial(line)] for test in tests]
    read = [[read_check(line, names[0].asname or names[0].name) for line in body] for body in bodies]
    if not all(body and all(body) for body in read):
        return None
    return names[0].name, [[each for each in body if each] for body in read]


def _pack(
    function: str,
    prelude: str | None,
    tests: list[list[tuple[Arguments, Check]]],
    source: SourceTests | None = None,
    checker: Checker | None = None,
) -> CallTests:
    packed = (tuple((pack_arguments(arguments), check) for arguments, check in test) for test in tests)
    return CallTests(function, prelude, tuple(packed), source, checker)


def _is_trivial(line: ast.stmt) -> bool:
    """Check for a statement that tests nothing: a docstring, or `assert True` as in HumanEval."""
    if isinstance(line, ast.Assert):
        return isinstance(line.test, ast.Constant) and bool(line.test.value)
    return isinstance(line, ast.Pass) or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant | ast.Name))


def _choose(items: list[Any], count: int, choose: Choose, length: Any) -> list[Any]:
    if choose == "longest":
        kept = sorted(sorted(range(len(items)), key=lambda number: -length(items[number]))[:count])
        return [items[number] for number in kept]
    return items[:count]


def _parse(source: Any, what: str) -> ast.Module:
    if not isinstance(source, str):
        raise GroundTruthError(f"{what} is {kind_of(source)}, expected Python source")
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise GroundTruthError(f"{what} is not Python: {error}") from error
