"""eurus: the code rows of PRIME-RL/Eurus-2-RL-Data; rows of other abilities are left out."""

from __future__ import annotations

import json
from collections.abc import Iterable

from preprocess.converters.base import Converter, Fields, Options, get_text
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import Message, RlRow


class EurusOptions(Options):
    """Which rows are taken."""

    max_tests: int = 10
    """Tests kept per problem, from the first."""


def _rl(fields: Fields, options: EurusOptions) -> Iterable[RlRow]:
    if fields.get("ability") != "code":
        raise LeftOutError(f"ability is {fields.get('ability')!r}, not code")
    try:
        truth = json.loads(fields["reward_model"]["ground_truth"])
        inputs, outputs = list(truth["inputs"]), list(truth["outputs"])
        messages = tuple(Message(str(each["role"]), str(each["content"])) for each in fields["prompt"])
        name = f"{get_text(fields, 'data_source')}/{fields['extra_info']['split']}/{fields['extra_info']['index']}"
    except (KeyError, TypeError, ValueError) as error:
        raise RowError(f"not a row of Eurus: {type(error).__name__}: {error}") from error
    if len(inputs) != len(outputs) or not inputs:
        raise RowError(f"{len(inputs)} inputs and {len(outputs)} outputs")
    kept = {"inputs": inputs[: options.max_tests], "outputs": outputs[: options.max_tests]}
    if truth.get("fn_name"):
        kept["fn_name"] = truth["fn_name"]
    return [RlRow(name, name, f"eurus/{fields['data_source']}", messages, kept)]


EURUS = Converter(
    "eurus",
    "PRIME-RL/Eurus-2-RL-Data: its code rows with their tests",
    EurusOptions,
    rl=_rl,
    columns=("data_source", "prompt", "ability", "reward_model", "extra_info"),
)
