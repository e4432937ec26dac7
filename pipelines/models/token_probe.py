"""`python -m pipelines.models.token_probe FOLDER`: print the token ids that this environment gives for some texts, as JSON.

Two versions of `transformers` may load one folder as two tokenizers: 5.9 follows the model's type, 5.5 the folder's own
configuration. A model trained on the tokens of one then answers the prompts of the other badly, without any error.
"""

from __future__ import annotations

import json
import sys

from preprocess.prompts.torchless import hide_torch

# Code, indentation, digits, quotes, letters beyond ASCII: where pre-tokenizers differ.
PROBES = (
    "def f(xs):\n    return [x * 10 for x in xs if x >= 1234]\n",
    "\tassert f([1, 2]) == {'a': 3.14, \"b\": None}  # it's 100%\r\n\n\n",
    "Grüße, 世界! naïve cafe\u0301 — ½ + 2² ≠ 4   \n",
)


def probe(folder: str) -> list[list[int]]:
    """Return the token ids of each probe text."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [[int(token) for token in tokenizer(text, add_special_tokens=False)["input_ids"]] for text in PROBES]


if __name__ == "__main__":
    hide_torch()
    print(json.dumps(probe(sys.argv[1])))
