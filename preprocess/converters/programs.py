"""programs_execution, programs_code: any Python file of functions whose docstrings state the problem with examples."""

from __future__ import annotations

import ast
import doctest
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from preprocess import prompts
from preprocess.converters.base import Converter, Fields, Options
from preprocess.converters.execution import ExecutionOptions, check_length, make_rl, make_sft
from preprocess.converters.tests import read_test, to_truth
from preprocess.errors import LeftOutError, RowError, SourceError
from preprocess.reading import Record, list_files, read_text
from preprocess.rows import Message, RlRow, SftRow, Turn
from preprocess.tracing.trace import Trace, trace
from rewards.literals import is_same, read_literal


class CodeOptions(Options):
    """Which programs are taken."""

    max_chars: int | None = None
    """Leaves out longer programs."""


def read_programs(source: Path, options: Options) -> Iterator[Record]:
    """The functions of a Python file, or of all in a folder.

    A record has `name`, `statement`, `code` (the function without its docstring) and `examples`: [arguments, value].

    Raises:
        SourceError: a file is not there or is not Python.
    """
    for path in list_files(source, (".py",)):
        text = read_text(path)
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError) as error:
            raise SourceError(f"{path}:{getattr(error, 'lineno', None) or 1}: not Python: {error}") from error
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield _read_function(node, text, str(path))


def _read_function(node: ast.FunctionDef, text: str, path: str) -> Record:
    document = ast.get_docstring(node)
    if document is None or len(node.body) < 2:
        return Record(path, node.lineno, None, f"{node.name} has no docstring, or nothing else")
    try:
        examples = [_read_example(example, node.name) for example in doctest.DocTestParser().get_examples(document)]
    except (ValueError, SyntaxError) as error:
        return Record(path, node.lineno, None, f"{node.name}: {error}")
    if not examples:
        return Record(path, node.lineno, None, f"{node.name} has no examples (`>>> {node.name}(…)`)")
    lines = text.splitlines()
    code = [*lines[node.lineno - 1 : node.body[0].lineno - 1], *lines[node.body[0].end_lineno : node.end_lineno]]
    fields = {
        "name": node.name,
        "statement": document.partition(">>>")[0].strip(),
        "code": "\n".join(code),
        "signature": "\n".join(lines[node.lineno - 1 : node.body[0].lineno - 1]),
        "examples": examples,
    }
    return Record(path, node.lineno, fields)


def _read_example(example: doctest.Example, name: str) -> tuple[str, str]:
    call = ast.parse(example.source.strip(), mode="eval").body
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == name):
        raise ValueError(f"example {example.source.strip()!r} is no call of {name}")
    # A shell prints nothing for None.
    wanted = example.want.strip() or "None"
    read_literal(wanted)
    return ast.unparse(call)[len(name) + 1 : -1], wanted


def _trace(fields: Fields, options: ExecutionOptions) -> list[Trace]:
    check_length(fields["code"], options)
    traces = []
    examples = fields["examples"]
    for result, (args, wanted) in zip(
        trace(fields["code"], fields["name"], [args for args, _ in examples]), examples, strict=True
    ):
        if isinstance(result, str):
            raise RowError(f"{fields['name']}({args}): {result}")
        if not is_same(read_literal(result.value), read_literal(wanted)):
            raise RowError(f"{fields['name']}({args}) returns {result.value}, its example says {wanted}")
        traces.append(result)
    return traces


def _execution_sft(fields: Fields, options: ExecutionOptions) -> Iterable[SftRow]:
    problem = f"programs/{fields['name']}"
    return [make_sft(each, f"{problem}/{n}", problem, options) for n, each in enumerate(_trace(fields, options))]


def _execution_rl(fields: Fields, options: ExecutionOptions) -> Iterable[RlRow]:
    problem = f"programs/{fields['name']}"
    traces = enumerate(_trace(fields, options))
    return [make_rl(each, f"{problem}/{n}", problem, "programs/execution", options) for n, each in traces]


def _ask_code(fields: Fields, options: CodeOptions) -> str:
    if options.max_chars and len(fields["code"]) > options.max_chars:
        raise LeftOutError(f"the program is longer than max_chars {options.max_chars}")
    return prompts.ask_code(fields["statement"], fields["signature"])


def _code_sft(fields: Fields, options: CodeOptions) -> Iterable[SftRow]:
    prompt = _ask_code(fields, options)
    response = prompts.answer_code(fields["statement"], fields["code"])
    return [SftRow(f"programs/{fields['name']}", (Turn("human", prompt), Turn("gpt", response)))]


def _code_rl(fields: Fields, options: CodeOptions) -> Iterable[RlRow]:
    name = f"programs/{fields['name']}"
    prompt = (Message("user", _ask_code(fields, options)),)
    return [RlRow(name, name, "programs/code", prompt, _to_truth(fields), detail={"solution": fields["code"]})]


def _to_truth(fields: Fields) -> dict[str, Any]:
    name = fields["name"]
    asserts = [f"assert candidate({args}) == {wanted}" for args, wanted in fields["examples"]]
    tests = [read_test(ast.parse(line).body[0], "candidate") for line in asserts]
    truth = to_truth([test for test in tests if test], name) if all(tests) else None
    body = "\n    ".join(asserts)
    return truth or {"functional": f"def check(candidate):\n    {body}\n\ncheck({name})"}


EXECUTION = Converter(
    "programs_execution",
    "questions on what calls return and how they run, from a Python file of functions with examples",
    ExecutionOptions,
    _execution_sft,
    _execution_rl,
    read=read_programs,
    runs_programs=True,
)
CODE = Converter(
    "programs_code",
    "functions to write from their docstrings, tested by their examples, from a Python file",
    CodeOptions,
    _code_sft,
    _code_rl,
    read=read_programs,
)
