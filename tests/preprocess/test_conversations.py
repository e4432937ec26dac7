"""Conversations as messages, and as the tokens that are learned from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from preprocess.conversations import ConversationError, cut, render_pairs, to_messages, to_tools

CALL = json.dumps({"name": "run", "arguments": {"code": "print(1)"}})


def row(*turns: tuple[str, str], system: str | None = None, tools: list[Any] | None = None) -> dict[str, Any]:
    conversations = [{"from": speaker, "value": value} for speaker, value in turns]
    return {"conversations": conversations, "system": system, "tools": json.dumps(tools) if tools else None}


class Tokenizer:
    """Renders `role:content` lines, a token per character."""

    def __init__(self, *, forgetful: bool = False) -> None:
        self.forgetful = forgetful

    def apply_chat_template(self, messages: list[Any], *, add_generation_prompt: bool, **_: Any) -> str:
        if any(message["content"] == "refuse" for message in messages):
            raise ValueError("no such word\nand more")
        lines = [
            # As templates of reasoning models do: what was thought is left out once the user says more.
            f"{message['role']}:{'' if self.forgetful and place < len(messages) - 1 else message['content']}\n"
            for place, message in enumerate(messages)
        ]
        return "".join(lines) + ("assistant:" if add_generation_prompt else "")

    def encode(self, text: str, **_: Any) -> list[int]:
        return [ord(letter) for letter in text]


def test_roles_and_calls_are_those_of_a_chat() -> None:
    thought = "<think>\nhm\n</think>\n\n"
    made = to_messages(
        row(("human", "f?"), ("function_call", thought + CALL), ("observation", "1"), ("gpt", "1"), system="Be.")
    )
    assert [message["role"] for message in made] == ["system", "user", "assistant", "tool", "assistant"]
    assert made[2]["content"] == thought.removesuffix("\n")
    assert made[2]["tool_calls"] == [{"type": "function", "function": {"name": "run", "arguments": {"code": "print(1)"}}}]
    two = to_messages(row(("human", "f?"), ("function_call", f"[{CALL}, {CALL}]")))
    assert len(two[1]["tool_calls"]) == 2


def test_a_schema_alone_is_a_functions() -> None:
    wrapped = {"type": "function", "function": {"name": "run"}}
    assert to_tools(row(("human", "a"), ("gpt", "b"), tools=[{"name": "run"}, wrapped])) == [wrapped, wrapped]
    assert to_tools(row(("human", "a"), ("gpt", "b"))) is None


def test_each_answer_follows_the_prompt_that_generation_gives() -> None:
    pairs = render_pairs(Tokenizer(), row(("human", "a"), ("gpt", "b"), ("human", "c"), ("gpt", "d")))
    assert ["".join(map(chr, ids)) for pair in pairs for ids in pair] == [
        "user:a\nassistant:",
        "b\n",
        "user:c\nassistant:",
        "d\n",
    ]


@pytest.mark.parametrize(
    ("tokenizer", "words", "said"),
    [
        (Tokenizer(), ("refuse", "b", "c", "d"), "the chat template does not render it: no such word"),
        (
            Tokenizer(forgetful=True),
            ("a", "b", "c", "d"),
            "the chat template writes what is before turn 2 in another way once it is there",
        ),
    ],
)
def test_a_row_that_does_not_render_turn_by_turn_is_refused(tokenizer: Tokenizer, words: tuple[str, ...], said: str) -> None:
    turns = zip(("human", "gpt", "human", "gpt"), words, strict=True)
    with pytest.raises(ConversationError) as caught:
        render_pairs(tokenizer, row(*turns))
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("lengths", "limit", "kept"),
    [
        ([(10, 4)], 14, [(10, 4)]),
        ([(10, 4)], 12, [(8, 4)]),  # the prompt's end goes
        ([(4, 10)], 12, [(4, 8)]),  # the answer's end goes
        ([(10, 10)], 10, [(5, 5)]),
        ([(100, 3)], 10, [(7, 3)]),
        ([(6, 4), (6, 4)], 14, [(6, 4), (3, 1)]),
        ([(6, 4), (6, 4)], 10, [(6, 4)]),  # nothing is left for the second
    ],
)
def test_what_is_too_long_is_cut_as_by_llamafactory(
    lengths: list[tuple[int, int]], limit: int, kept: list[tuple[int, int]]
) -> None:
    """The numbers are what `infer_seqlen` of LLaMA-Factory 0.9.5 gives; the smoke test compares whole rows with it."""
    pairs = [([1] * prompt, [2] * answer) for prompt, answer in lengths]
    assert [(len(prompt), len(answer)) for prompt, answer in cut(pairs, limit)] == kept
