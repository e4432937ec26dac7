"""Answers that cost nothing: programs that ignore their input, tests that they pass, and tests that the prompt gives away."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rewards.errors import GroundTruthError
from rewards.programs.candidate import SourceTests
from rewards.programs.cheats import define, find_names, is_lenient
from rewards.programs.ground_truth import CallTests, Tests, TextTests
from rewards.programs.inside.judge.check import Check
from rewards.programs.inside.judge.comparison import Rules, is_accepted_text

FreeTests = Literal["count", "exclude", "require_all"]
"""`count`: score a test that a constant passes like any other. `exclude`: leave out tests that a program passes which outputs
nothing, or whose function returns None or True. `require_all`: score all or nothing if one constant passes several tests, or
nothing one."""

_CONSTANTS = 3
_LONGEST_NAME = 40
_LONGEST_SHOWN = 2000
_NEAR = 300
"""Characters of a prompt between an input and its output."""


def write_nothing(tests: Tests) -> str:
    """Return a program that outputs nothing, or whose function returns nothing."""
    return "pass" if isinstance(tests, TextTests) else define("def cheat(*args, **kwargs):\n    pass\n", find_names(tests))


def write_constants(tests: Tests) -> dict[str, str]:
    """Return programs that give the same answer for every input, those that may pass most tests: name -> program."""
    if not isinstance(tests, SourceTests) and tests.checker is not None:
        return {}
    if isinstance(tests, TextTests):
        common = Counter(filter(None, (output.strip() for output in tests.outputs))).most_common(_CONSTANTS)
        return {_name("print", text): f"print({text!r})" for text, _ in common}
    names = find_names(tests)
    values = _rank_values(tests) if isinstance(tests, CallTests) else _find_values(tests)
    return {_name("return", each): define(f"def cheat(*args, **kwargs):\n    return {each}\n", names) for each in values}


def has_blank(tests: Tests) -> bool:
    """Return whether a program that outputs or returns nothing passes a test; for tests in source: whether it may."""
    if isinstance(tests, SourceTests):
        return "nothing" in is_lenient(tests)
    return any(map(_passes_nothing, _list_tests(tests)))


def find_counted(tests: Tests, free_tests: FreeTests) -> list[int] | None:
    """Return the numbers of the tests that count, from 0; None: all.

    Raises:
        GroundTruthError: no test is left.
    """
    if free_tests != "exclude" or isinstance(tests, SourceTests):
        return None
    listed = _list_tests(tests)
    counted = [number for number, test in enumerate(listed) if not _is_free(test)]
    if listed and not counted:
        raise GroundTruthError("every test passes without a solution (free_tests: exclude)")
    return counted if len(counted) < len(listed) else None


def is_guessable(tests: Tests) -> bool:
    """Return whether one constant passes several tests, or nothing passes one; for tests in source: whether it may."""
    if isinstance(tests, SourceTests):
        return bool(is_lenient(tests) & {"nothing", "truth"})
    listed = _list_tests(tests)
    return any(map(_is_free, listed)) or any(sum(_passes(test, value) for test in listed) > 1 for value in _list_values(listed))


def is_shown(tests: Tests, prompt: str) -> bool:
    """Return whether a program could copy its answers from the prompt: each test's input stands there before its output."""
    if not isinstance(tests, SourceTests) and tests.checker is not None:
        return False
    if isinstance(tests, TextTests):
        return all(
            _is_near(prompt, [_words(given)], [_words(output)])
            for given, output in zip(tests.inputs, tests.outputs, strict=True)
        )
    if isinstance(tests, SourceTests):
        asserted = [node for source in tests.sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]
        name = tests.function.rpartition(".")[2]
        lines = [re.sub(r"\bcandidate\b", name, ast.unparse(line)) if name else ast.unparse(line) for line in asserted]
        return bool(lines) and all(_squeeze(line) in _squeeze(prompt) for line in lines)
    return all(
        _is_near(prompt, list(map(_tokens, _read_arguments(packed))), [_tokens(each) for each in _list_expected(check)])
        for test in tests.tests
        for packed, check in test
    )


@dataclass(frozen=True)
class _Output:
    """A test of a text."""

    expected: str
    rules: Rules


_Test = _Output | tuple[Check, ...]
"""An expected output, or the checks of the values."""


def _list_tests(tests: TextTests | CallTests) -> list[_Test]:
    """Return the tests that a constant may pass: none if a checker decides."""
    if tests.checker is not None:
        return []
    if isinstance(tests, TextTests):
        return [_Output(each, tests.rules) for each in tests.outputs]
    return [tuple(check for _, check in test) for test in tests.tests]


def _passes(test: _Test, value: Any) -> bool:
    if isinstance(test, _Output):
        return isinstance(value, str) and is_accepted_text(value, test.expected, *test.rules)
    return all(check.accepts(value) for check in test)


def _passes_nothing(test: _Test) -> bool:
    return _passes(test, "" if isinstance(test, _Output) else None)


def _is_free(test: _Test) -> bool:
    # A test that asks for True itself is one half of a question; a test for any true value asks nothing.
    only_truth = not isinstance(test, _Output) and all(check.kind in ("true", "false") for check in test)
    return _passes_nothing(test) or only_truth


def _list_values(tests: Sequence[_Test]) -> list[Any]:
    """Return the expected values."""
    return [each.expected if isinstance(each, _Output) else _expected(each[0]) for each in tests if each]


def _expected(check: Check) -> Any:
    return check.kind == "true" if check.kind in ("true", "false") else check.expected


def _rank_values(tests: CallTests) -> list[str]:
    """Return the sources of the values that most tests accept."""
    listed = _list_tests(tests)
    counts = {_to_source(value): sum(_passes(test, value) for test in listed) for value in [*_list_values(listed), True]}
    ranked = sorted(filter(None, counts), key=lambda source: -counts[source])
    return [source for source in ranked if counts[source]][:_CONSTANTS]


def _find_values(tests: SourceTests) -> list[str]:
    """Return the sources of the literals with which tests compare most, and of the usual answers without a meaning."""
    trees = [ast.parse(source) for source in tests.sources]
    compared = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    operands = [each for node in compared for each in (node.left, *node.comparators)]
    sources = Counter(source for each in operands if (source := _to_source(_read_literal(each))) not in ("", "None"))
    return list(dict.fromkeys([*(source for source, _ in sources.most_common(_CONSTANTS)), "True"]))


def _read_literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _to_source(value: Any) -> str:
    """Return a value's source; an empty text if it has none."""
    try:
        return source if ast.literal_eval(source := repr(value)) == value else ""
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return ""


def _name(what: str, value: str) -> str:
    text = " ".join(value.split())
    return f"{what} {text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + '…'}"


def _read_arguments(packed: str) -> list[Any]:
    """Return the arguments of a call from `pack_arguments`."""
    read = json.loads(packed)
    args, kwargs = ast.literal_eval(read) if isinstance(read, str) else read
    return [*args, *kwargs.values()]


def _list_expected(check: Check) -> list[Any]:
    return [_expected(check), *check.alternatives]


def _words(text: str) -> str:
    """Return a pattern of a text with any spaces between its words."""
    return _bound(r"\s+".join(map(re.escape, text.split())), text.strip())


def _tokens(value: Any) -> str:
    """Return a pattern of a literal as Python or JSON write it, with any spaces and quotes."""
    text = repr(value)
    spelled = {"True": "[Tt]rue", "False": "[Ff]alse", "None": "(None|null)", "'": "['\"]", '"': "['\"]"}
    return _bound(r"\s*".join(spelled.get(each) or re.escape(each) for each in re.findall(r"\w+|\S", text)), text)


def _bound(pattern: str, text: str) -> str:
    """Add that the words at the ends are not parts of longer ones."""
    if len(text) > _LONGEST_SHOWN:
        return r"(?!)"  # never found
    before = r"(?<![\w.])" if text[:1].isalnum() else ""
    return f"{before}{pattern}" + (r"(?!\w|\.\d)" if text[-1:].isalnum() else "")


def _is_near(prompt: str, inputs: list[str], outputs: list[str]) -> bool:
    """Return whether the inputs stand in a prompt in order, and soon after them one of the outputs."""
    inputs = list(filter(None, inputs))
    if not inputs:
        return any(re.search(output, prompt) for output in outputs)
    begins = (found.end() for found in re.finditer(inputs[0], prompt))
    return any(_follows(prompt, begin, inputs[1:], outputs) for begin in begins)


def _follows(prompt: str, begin: int, inputs: list[str], outputs: list[str]) -> bool:
    for pattern in inputs:
        found = re.search(pattern, prompt[begin : begin + _NEAR])
        if found is None:
            return False
        begin += found.end()
    return any(re.search(output, prompt[begin : begin + _NEAR]) for output in outputs)


def _squeeze(text: str) -> str:
    return "".join(text.split()).replace('"', "'")
