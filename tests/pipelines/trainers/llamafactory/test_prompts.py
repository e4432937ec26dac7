"""Where a template of LLaMA-Factory and a chat template differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.trainers.llamafactory.prompts import asks_otherwise, count_longer, excerpts
from preprocess.rows import SftRow, Turn
from tests.rows import write_rows

SAME = "<|im_start|>user\nWhat is f(1)?<|im_end|>\n<|im_start|>assistant\n"
SHOWN = SAME[-20:]


@pytest.mark.parametrize(
    ("found", "wanted", "shown"),
    [
        pytest.param("a b", "c b", ("a b", "c b"), id="begin"),
        pytest.param(f"{SAME}a", f"{SAME}c", (f"{SHOWN}a", f"{SHOWN}c"), id="end"),
        pytest.param(f"{SAME}<think>", SAME, (f"{SHOWN}<think>", SHOWN), id="more"),
        pytest.param(SAME, f"{SAME}<think>", (SHOWN, f"{SHOWN}<think>"), id="less"),
        pytest.param(f"{SAME}a{'b' * 90}", f"{SAME}c", (f"{SHOWN}a{'b' * 39}", f"{SHOWN}c"), id="long"),
    ],
)
def test_excerpts_begin_shortly_before_the_difference(found: str, wanted: str, shown: tuple[str, str]) -> None:
    assert excerpts(found, wanted) == shown


class Letters:
    """A tokenizer whose tokens are letters, and whose chat template writes a user's text between two tags."""

    def __init__(self, system: str = "", opening: str = "<a>") -> None:
        self.system, self.opening = system, opening

    def apply_chat_template(self, messages: list[dict[str, str]], *, add_generation_prompt: bool, **_: Any) -> str:
        turns = {"user": "<u>{}", "assistant": f"{self.opening}{{}}</a>"}
        text = self.system + "".join(turns[message["role"]].format(message["content"]) for message in messages)
        return text + (self.opening if add_generation_prompt else "")

    def encode(self, text: str, **_: Any) -> list[int]:
        return list(map(ord, text))

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))


class Template:
    """A template of LLaMA-Factory for one question and its answer."""

    efficient_eos = False

    def encode_multiturn(
        self, tokenizer: Letters, turns: list[dict[str, str]], system: str | None, tools: str | None
    ) -> list[tuple[list[int], list[int]]]:
        return [(tokenizer.encode(f"<u>{turns[0]['content']}<a>"), tokenizer.encode(f"{turns[1]['content']}</a>"))]


@pytest.fixture
def rows(tmp_path: Path) -> str:
    texts = ("a", "b" * 10)
    made = [SftRow(text, (Turn("human", f"What is {text}?"), Turn("gpt", text))) for text in texts]
    write_rows(tmp_path / "train.parquet", made, "sft")
    return str(tmp_path / "train.parquet")


@pytest.mark.parametrize(
    ("tokenizer", "otherwise"),
    [
        (Letters(), False),
        (Letters(system="<s>Be brief."), False),
        (Letters(opening="<a><think>"), False),
        (Letters(opening="[answer]"), True),
    ],
)
def test_another_format_is_not_another_system_message(tokenizer: Letters, otherwise: bool, rows: str) -> None:
    assert asks_otherwise(Template(), tokenizer, rows, {}) is otherwise


def test_rows_are_counted_before_they_are_truncated(rows: str) -> None:
    shorter, longer = (len(f"<u>What is {text}?<a>{text}</a>") for text in ("a", "b" * 10))
    found = [count_longer(Template(), Letters(), rows, limit) for limit in (shorter - 1, shorter, longer - 1, longer)]
    assert found == [2, 1, 1, 0]
    with_eos = Template()
    with_eos.efficient_eos = True
    assert count_longer(with_eos, Letters(), rows, longer) == 1
