"""What precedes the function to complete in the prompts of HumanEval."""

from __future__ import annotations

import ast

from preprocess.converters.shared.tests import parse
from preprocess.errors import RowError


def find_prelude(prompt: str, function: str) -> str:
    """Return the code before a function that its tests may need, and an answer may omit, as HumanEval's completions do.

    Raises:
        RowError: the prompt does not parse, or has no such function.
    """
    for each in parse(f"{prompt}    pass\n", "prompt").body:
        if isinstance(each, ast.FunctionDef) and each.name == function:
            return "\n".join(prompt.split("\n")[: each.lineno - 1]).strip()
    raise RowError(f"prompt has no function {function}")
