"""Where a template of LLaMA-Factory and a chat template differ."""

from __future__ import annotations

import pytest

from pipelines.trainers.llamafactory.prompts import excerpts

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
