"""A conversation as a chat template takes it, and as the tokens that a model learns from.

Runs in the trainers' environments, with any tokenizer of `transformers`; imports nothing but the standard library. verl's
trainer gets these tokens; LLaMA-Factory renders rows itself, and makes the same ones of them where its template is a copy of
the tokenizer's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_ROLES = {"human": "user", "gpt": "assistant", "observation": "tool"}
_THOUGHT = re.compile(r"<think>.*?</think>\s*", re.DOTALL)

Pair = tuple[list[int], list[int]]
"""The tokens of what the model reads next, and of what it then says."""


class ConversationError(ValueError):
    """A row that the chat template does not render, or not turn by turn; the message says why."""


def to_messages(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row's conversation (`conversations`, `system`) in the form of an OpenAI chat; calls of tools are structured."""
    system = [{"role": "system", "content": row["system"]}] if row["system"] else []
    return [*system, *(_to_message(turn["from"], turn["value"]) for turn in row["conversations"])]


def to_tools(row: Mapping[str, Any]) -> list[Any] | None:
    """A row's tools as a chat template takes them: a schema alone is a function's."""
    tools = json.loads(row["tools"]) if row["tools"] else []
    return [tool if tool.get("type") == "function" else {"type": "function", "function": tool} for tool in tools] or None


def render_pairs(tokenizer: Any, row: Mapping[str, Any], **arguments: Any) -> list[Pair]:
    """The tokens of each turn of the model, and those of what comes before it since its last turn.

    Each turn begins after the very prompt that generation gives the model, and tokens do not reach across that border.

    Args:
        tokenizer: with a chat template.
        row: of shape SftRow.
        arguments: the template's own.

    Raises:
        ConversationError: the template refuses the row, leaves an answer out, or writes earlier turns anew when later ones
            come.
    """
    messages, tools = to_messages(row), to_tools(row)

    def render(count: int, *, ask: bool) -> str:
        try:
            text: str = tokenizer.apply_chat_template(
                messages[:count], tools=tools, tokenize=False, add_generation_prompt=ask, **arguments
            )
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConversationError(f"the chat template does not render it: {first}") from error
        return text

    pairs, text = [], ""
    for place, message in enumerate(messages):
        if message["role"] == "assistant":
            asked, answered = render(place, ask=True), render(place + 1, ask=False)
            turn = place + 1 - (messages[0]["role"] == "system")
            if answered == asked:
                raise ConversationError(f"the chat template shows nothing of turn {turn}")
            if not asked.startswith(text) or not answered.startswith(asked):
                raise ConversationError(f"the chat template writes what is before turn {turn} in another way once it is there")
            pairs.append((_encode(tokenizer, asked[len(text) :]), _encode(tokenizer, answered[len(asked) :])))
            text = answered
    return pairs


def cut(pairs: Sequence[Pair], limit: int) -> list[Pair]:
    """The pairs within `limit` tokens, cut as LLaMA-Factory does; something of the first answer always remains.

    The rest of a pair that is too long loses its prompt's end while its answer is under half of what there is room for,
    then the answer's end, or both in proportion (data/processor/processor_utils.py `infer_seqlen`, v0.9.5).
    """
    kept = []
    for prompt, answer in pairs:
        if limit <= 0:
            break
        if 2 * len(answer) < limit:
            most = limit
        elif 2 * len(prompt) < limit:
            most = limit - len(prompt)
        else:
            most = int(limit * (len(answer) / (len(prompt) + len(answer))))
        answer = answer[:most]
        prompt = prompt[: max(limit - len(answer), 0)]
        limit -= len(prompt) + len(answer)
        kept.append((prompt, answer))
    return kept


def _to_message(speaker: str, text: str) -> dict[str, Any]:
    if speaker != "function_call":
        return {"role": _ROLES[speaker], "content": text}
    thought = _THOUGHT.match(text)
    said = json.loads(_THOUGHT.sub("", text))
    calls = said if isinstance(said, list) else [said]
    return {
        "role": "assistant",
        # A chat template puts a line's end between the thought and the call.
        "content": thought[0].removesuffix("\n") if thought else "",
        "tool_calls": [
            {"type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}} for call in calls
        ],
    }


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids
