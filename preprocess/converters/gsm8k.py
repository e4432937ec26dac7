"""gsm8k: grade school mathematics (openai/gsm8k): worked answers for SFT, final numbers for verl's grader."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterable

import msgspec

from preprocess.converters.base import Converter
from preprocess.converters.shared.tool_calls import ToolOptions, call_in_turn, make_row
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import Message, RlRow, SftRow

# The wording of verl (examples/data_preprocess/gsm8k.py): its grader takes the number after the marks.
_INSTRUCTION = 'Let\'s think step by step and output the final answer after "####".'
_FINAL = re.compile(r"#### (-?[0-9][0-9,]*(?:\.[0-9]+)?)\s*$")
_MARK = re.compile(r"<<([^<>]*)>>")
"""A calculation and its value, in the notation of GSM8K; the value is repeated after it."""

_ALLOWED = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub)


class Gsm8kOptions(ToolOptions, frozen=True, kw_only=True):
    """Options of the tool."""

    stateful: bool = False
    """Later calls use the results of earlier ones: for a stage whose tool is stateful."""

    def __post_init__(self) -> None:
        if self.stateful and self.tool is None:
            raise ValueError("stateful is for rows with a tool")


class Exercise(msgspec.Struct, gc=False):
    """A question with its worked answer."""

    question: str
    answer: str
    """Ends with `#### 42`; intermediate calculations are marked `<<40+2=42>>`."""


def _read(record: Exercise) -> tuple[str, str]:
    """Return the prompt and the final number."""
    if not record.question.strip():
        raise RowError("the question is empty")
    final = _FINAL.search(record.answer)
    if final is None:
        raise RowError(f"the answer ends with {record.answer[-40:]!r}, expected #### and a number")
    return f"{record.question} {_INSTRUCTION}", final[1].replace(",", "")


def _sft(record: Exercise, options: Gsm8kOptions) -> Iterable[SftRow]:
    """Return the question with its worked answer; with the tool, each calculation is a call."""
    question, _ = _read(record)
    if options.tool is None:
        return [make_row(record.question, question, record.answer)]
    codes, values = _write_calls(record.answer, options.stateful)
    calls = call_in_turn(codes, options.stateful)
    for (_, reply), value in zip(calls, values, strict=True):
        if abs(float(reply) - value) > 1e-6 * abs(value):
            raise LeftOutError(f"a calculation gives {reply}, expected {value:g}")
    return [make_row(record.question, question, _MARK.sub("", record.answer).strip(), calls)]


def _rl(record: Exercise, options: Gsm8kOptions) -> Iterable[RlRow]:
    question, final = _read(record)
    return [
        RlRow(
            problem=record.question,
            data_source="openai/gsm8k",
            prompt=options.add_system((Message("user", question),)),
            # A bare number, as in verl's own rows.
            ground_truth=msgspec.Raw(final.encode()),
            ability="math",
            detail={"solution": record.answer},
            tools=options.tools,
        )
    ]


def _write_calls(answer: str, stateful: bool) -> tuple[list[str], list[float]]:
    """Return code for each calculation, and its value according to the answer; `stateful` code has a variable per result."""
    codes: list[str] = []
    values: list[float] = []
    for text in _MARK.findall(answer):
        tree, value = _read_calculation(text)
        if not stateful:
            codes.append(f"print({ast.unparse(tree)})")
        elif len(values) == len(string.ascii_lowercase):
            raise LeftOutError("the answer has more calculations than there are names for their results")
        else:
            name = string.ascii_lowercase[len(values)]
            codes.append(f"{name} = {ast.unparse(_Naming(values).visit(tree))}\nprint({name})")
        values.append(value)
    if not codes:
        raise LeftOutError("the answer marks no calculation, such as <<3*12=36>>")
    return codes, values


def _read_calculation(text: str) -> tuple[ast.Expression, float]:
    source, _, value = text.rpartition("=")
    try:
        tree, number = ast.parse(source.strip(), mode="eval"), float(value.replace(",", ""))
        for node in ast.walk(tree):
            if not isinstance(node, _ALLOWED) or (isinstance(node, ast.Constant) and type(node.value) not in (int, float)):
                raise ValueError(f"{type(node).__name__} is not allowed")
    except (SyntaxError, ValueError, RecursionError):
        raise LeftOutError(f"a calculation is not arithmetic: {text[:80]}") from None
    return tree, number


class _Naming(ast.NodeTransformer):
    """Replaces the value of an earlier result by its variable, the latest if several have that value."""

    def __init__(self, values: list[float]) -> None:
        self._names = dict(zip(values, string.ascii_lowercase, strict=False))

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        name = self._names.get(float(node.value))  # type: ignore[arg-type]
        return ast.Name(name) if name else node


GSM8K = Converter(
    "gsm8k", "openai/gsm8k: worked answers for sft, final numbers for rl with verl's grader", Exercise, Gsm8kOptions, _sft, _rl
)
