"""Responses that `pipeline rewards check` scores with white_box: the right answer, and cheats."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rewards.parsing.answers import make_response

_EQUAL_TO_ALL = "type('E', (), {'__eq__': lambda *_: True})()"


def make_reference(ground_truth: str, extra_info: Mapping[str, Any]) -> str:
    """Return the right answer from the ground truth."""
    row = json.loads(ground_truth)
    return make_response("\n".join([_assertion(row), *_further_answers(row)]))


def make_cheats(ground_truth: str, extra_info: Mapping[str, Any]) -> dict[str, str]:
    """Return answers that a reward which runs the assertion, or searches it for words, would score as right."""
    row = json.loads(ground_truth)
    name, value = row["func_name"], row["result"]
    call = f"{name}({row['func_args']})"
    right = _assertion(row)
    firsts = {
        "pass": "pass",
        "true": f"assert True  # {call} == {value}",
        "itself": f"assert {call} == {call}",
        "itself, named": f"assert (x := {call}) == x",
        "equal to all": f"assert {call} == {_EQUAL_TO_ALL}",
        "equal to all, called": f"assert {_EQUAL_TO_ALL} == {call}",
        "or true": f"assert ({call} == {value}) or True",
        "message": f"{right}, 'message'",
        "chain": f"{right} == {call}",
        "in": f"assert {call} in [{value}, {call}]",
        "is": f"assert {call} is {call}",
        "unequal": f"assert {call} != float('nan')",
        "negation": f"assert not {call} == {_EQUAL_TO_ALL.replace('True', 'False')}",
        "computed": f"assert {call} == eval({str(value)!r})",
        "two statements": f"{right}; {name} = None",
        "redefined": f"{name} = lambda *a, **k: {value}; {right}",
        "walrus": f"assert ({name} := lambda *a, **k: {value})({row['func_args']}) == {value}",
        "exit": "import os; os._exit(0)",
        "not asserted": right.removeprefix("assert "),
        "comment": f"# {right}",
        "string": repr(right),
        "unpacked": f"assert {name}(*[{row['func_args']}], **{{}}) == {_EQUAL_TO_ALL}",
    }
    further = _further_answers(row)
    cheats = {name: make_response("\n".join([first, *further])) for name, first in firsts.items()}
    cheats["questions alone"] = make_response("\n".join(further))
    cheats["redefined above"] = make_response("\n".join([f"def {name}(*a, **k): return {value}", right, *further]))
    cheats["no tags"] = "\n".join([right, *further])
    return cheats


def _assertion(row: Mapping[str, Any]) -> str:
    return f"assert {row['func_name']}({row['func_args']}) == {row['result']}"


def _further_answers(row: Mapping[str, Any]) -> list[str]:
    if row["type"] == "oi":
        return []
    questions = row["question_answers"]
    lines = [str(accepted[0]).strip() for accepted in questions.get("path_answers") or []]
    for accepted in questions.get("state_as") or []:
        kind, value = ("Nil", "Nil") if accepted[0] in ("Nil", ["Nil"]) else (str(each).strip() for each in accepted[0])
        lines.append("Nil" if kind != "str" and "Nil" in (kind, value) else f"{value}; {kind}")
    return lines
