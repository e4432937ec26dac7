"""Code for the interpreter tool, from the calculations that a worked answer marks: `<<3*12=36>>`."""

from __future__ import annotations

import ast
import re
import string

from preprocess.errors import LeftOutError

MARK = re.compile(r"<<([^<>]*)>>")
"""A calculation and its value, in the notation of GSM8K; the value is repeated after it."""

_ALLOWED = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.USub)


def write_calls(answer: str, stateful: bool) -> tuple[list[str], list[float]]:
    """Return code for each calculation, and its value according to the answer.

    Args:
        answer: The worked answer.
        stateful: Whether each result is assigned to a variable, which later calculations use.

    Raises:
        LeftOutError: nothing is marked, or something other than arithmetic (`50%*20=10`).
    """
    codes: list[str] = []
    values: list[float] = []
    for text in MARK.findall(answer):
        tree, value = _read(text)
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


def _read(text: str) -> tuple[ast.Expression, float]:
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
