"""Conversations as messages for a chat template, and as tokens for training.

Runs in the trainers' environments, with any tokenizer of `transformers`; needs only the standard library. verl's trainer
gets these tokens; LLaMA-Factory renders rows itself, with the same result if its template is a copy of the tokenizer's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rewards.parsing.call_turns import split_call, split_results

_ROLES = {"human": "user", "gpt": "assistant", "observation": "tool"}

Pair = tuple[list[int], list[int]]
"""The tokens of a prompt and of its answer."""


class ConversationError(ValueError):
    """The chat template does not render a row, or not turn by turn; the message is the reason."""


def to_messages(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row's conversation (`conversations`, `system`) as OpenAI messages, with structured tool calls."""
    system = [{"role": "system", "content": row["system"]}] if row["system"] else []
    return [*system, *(each for turn in row["conversations"] for each in _to_messages(turn["from"], turn["value"]))]


def to_tools(row: Mapping[str, Any]) -> list[Any] | None:
    """Return a row's tools for a chat template; a bare schema is a function's."""
    tools = json.loads(row["tools"]) if row["tools"] else []
    return [tool if tool.get("type") == "function" else {"type": "function", "function": tool} for tool in tools] or None


def render_pairs(tokenizer: Any, row: Mapping[str, Any], **arguments: Any) -> list[Pair]:
    """Return the tokens of each of the model's turns, paired with the tokens before it since its previous turn.

    Each turn follows exactly the prompt of generation, and no token spans the two; raises as `render_texts`.
    """
    texts = render_texts(tokenizer, row, **arguments)
    return [(_encode(tokenizer, prompt), _encode(tokenizer, answer)) for prompt, answer in texts]


def render_texts(tokenizer: Any, row: Mapping[str, Any], **arguments: Any) -> list[tuple[str, str]]:
    """Return the text of each of the model's turns, paired with the text before it since its previous turn.

    Args:
        tokenizer: A tokenizer with a chat template.
        row: A row of shape SftRow.
        arguments: Arguments of the template.

    Raises:
        ConversationError: The template refuses the row, leaves an answer out, or changes earlier turns when later ones
            follow.
    """
    messages, tools = to_messages(row), to_tools(row)

    def render(count: int, *, prompt: bool) -> str:
        try:
            text: str = tokenizer.apply_chat_template(
                messages[:count], tools=tools, tokenize=False, add_generation_prompt=prompt, **arguments
            )
        except Exception as error:
            raise ConversationError(f"the chat template does not render it: {first_line(error)}") from error
        return text

    pairs, text, turn = [], "", 0
    for place, message in enumerate(messages):
        # Results of parallel calls are one turn.
        is_more = message["role"] == "tool" and messages[place - 1]["role"] == "tool"
        turn += message["role"] != "system" and not is_more
        if message["role"] == "assistant":
            prompt, answered = render(place, prompt=True), render(place + 1, prompt=False)
            if answered == prompt:
                raise ConversationError(f"the chat template leaves out turn {turn}")
            if not prompt.startswith(text) or not answered.startswith(prompt):
                raise ConversationError(f"the chat template changes the text before turn {turn} when that turn follows")
            pairs.append((prompt[len(text) :], answered[len(prompt) :]))
            text = answered
    return pairs


def cut(pairs: Sequence[Pair], limit: int) -> list[Pair]:
    """Truncate the pairs to `limit` tokens as LLaMA-Factory does; the first answer keeps at least one token.

    A pair that is too long loses the end of its prompt if its answer is under half of the limit, else the end of the answer
    if the prompt is, else both in proportion (data/processor/processor_utils.py `infer_seqlen`, v0.9.5).
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


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _to_messages(speaker: str, text: str) -> list[dict[str, Any]]:
    if speaker != "function_call":
        texts = split_results(text) if speaker == "observation" else [text]
        return [{"role": _ROLES[speaker], "content": each} for each in texts]
    before, called = split_call(text)
    parsed = json.loads(called)
    calls = parsed if isinstance(parsed, list) else [parsed]
    return [
        {
            "role": "assistant",
            # A chat template puts a line break between the text and the call.
            "content": before.removesuffix("\n"),
            "tool_calls": [
                {"type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}} for call in calls
            ],
        }
    ]


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids
