"""execverify_sft, execverify_rl: the published rows of ExecVerify (arXiv 2603.11226)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from preprocess.converters.base import Converter, Fields, Options, get_text
from preprocess.errors import RowError
from preprocess.rows import Message, RlRow, SftRow, Turn


class NoOptions(Options):
    """There is nothing to choose."""


def _sft(fields: Fields, options: NoOptions) -> Iterable[SftRow]:
    turns = fields["conversations"]
    try:
        conversation = tuple(Turn(str(turn["from"]), str(turn["value"])) for turn in turns)
    except (KeyError, TypeError) as error:
        raise RowError(f"conversations: {type(error).__name__}: {error}") from error
    if not conversation:
        raise RowError("conversations is empty")
    return [SftRow(_name(conversation[0].value), conversation)]


def _rl(fields: Fields, options: NoOptions) -> Iterable[RlRow]:
    kind = fields["type"]
    if kind not in ("io_mixed", "oi"):
        raise RowError(f"type is {kind!r}, expected io_mixed or oi")
    truth = {name: get_text(fields, name) for name in ("func_str", "func_name", "func_args", "result")}
    answers = fields["question_answers"]
    if not isinstance(answers, dict):
        raise RowError(f"question_answers is {type(answers).__name__}, expected an object")
    prompt = get_text(fields, "prompt_str")
    name = _name(f"{prompt}\n{truth['func_args']}")
    message = (Message("user", prompt),)
    # One function has many calls: the function is the problem.
    problem = _name(truth["func_str"])
    return [RlRow(problem, name, "execverify", message, {"type": kind, **truth, "question_answers": answers})]


def _name(text: str) -> str:
    return f"execverify/{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"


SFT = Converter(
    "execverify_sft",
    "ExecVerify's conversations on execution reasoning",
    NoOptions,
    sft=_sft,
    columns=("conversations",),
)
RL = Converter(
    "execverify_rl",
    "ExecVerify's questions on execution, for the white_box reward",
    NoOptions,
    rl=_rl,
    columns=("type", "func_str", "func_name", "func_args", "result", "prompt_str", "question_answers"),
)
