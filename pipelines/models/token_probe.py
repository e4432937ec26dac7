"""How a tokenizer splits text here: `python -m pipelines.models.token_probe FOLDER` prints token ids as JSON.

Two versions of `transformers` may read one folder as two tokenizers: 5.9 goes by the model's type, 5.5 by the folder's
own words. A model that was trained on the one's tokens then answers the other's prompts badly, and nothing says why.
"""

from __future__ import annotations

import json
import sys

# Code, indentation, digits, quotes, letters beyond ASCII: what pre-tokenizers are known to differ in.
PROBES = (
    "def f(xs):\n    return [x * 10 for x in xs if x >= 1234]\n",
    "\tassert f([1, 2]) == {'a': 3.14, \"b\": None}  # it's 100%\r\n\n\n",
    "Grüße, 世界! naïve cafe\u0301 — ½ + 2² ≠ 4   \n",
)


def probe(folder: str) -> list[list[int]]:
    """The token ids of each probe, by the tokenizer that this environment makes of the folder."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [[int(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"]] for text in PROBES]


if __name__ == "__main__":
    print("TOKENS", json.dumps(probe(sys.argv[1])))
