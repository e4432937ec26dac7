"""The calculations that a worked answer marks, `<<3*12=36>>`, as code for the interpreter tool."""

from __future__ import annotations

import ast
import re
import string

from preprocess.errors import LeftOutError

MARK = re.compile(r"<<([^<>]*)>>")
"""A calculation and its value, as GSM8K's annotators marked them: the text goes on with the value."""

_ALLOWED = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub)


def write_calls(answer: str, stateful: bool) -> tuple[list[str], list[float]]:
    """Code for each calculation, and the value that the answer says it has.

    Args:
        answer: the worked answer.
        stateful: whether each result gets a name, by which later calculations call it.

    Raises:
        LeftOutError: nothing is marked, or something that is no arithmetic (`50%*20=10`).
    """
    codes: list[str] = []
    values: list[float] = []
    for text in MARK.findall(answer):
        source, _, said = text.rpartition("=")
        tree, value = _parse(source, text), _read_value(said, text)
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


def _parse(source: str, text: str) -> ast.Expression:
    try:
        tree = ast.parse(source.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError):
        raise LeftOutError(f"a calculation is no arithmetic: {text[:80]}") from None
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED) or (isinstance(node, ast.Constant) and type(node.value) not in (int, float)):
            raise LeftOutError(f"a calculation is no arithmetic: {text[:80]}")
    return tree


def _read_value(said: str, text: str) -> float:
    try:
        return float(said.replace(",", ""))
    except ValueError:
        raise LeftOutError(f"a calculation is no arithmetic: {text[:80]}") from None


class _Naming(ast.NodeTransformer):
    """Puts the name of an earlier result in place of its value; of the latest, where several had it."""

    def __init__(self, values: list[float]) -> None:
        self._names = dict(zip(values, string.ascii_lowercase, strict=False))

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        name = self._names.get(float(node.value))  # type: ignore[arg-type]
        return ast.Name(name) if name else node
