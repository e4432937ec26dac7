"""The lengths of rows as this project counts them before training, in a trainer's environment."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from copy import copy
from typing import Any

import pyarrow.parquet as pq
from datasets import arrow_dataset, fingerprint

from preprocess.prompts.counting import Counter, Stage


@functools.cache
def load(model: str) -> Any:
    """Return a model's tokenizer. A published one takes seconds to load, so each is loaded once."""
    return _load(model).tokenizer


def count(lengths: Mapping[str, Any], file: str) -> list[int]:
    """Return the tokens of each row of a file."""
    counter = copy(_load(lengths["model"]))
    counter.stage = Stage(**lengths)
    groups = pq.read_metadata(file).num_row_groups
    return [tokens for group in range(groups) for tokens in counter.count(file, group).tokens]


def skip_fingerprints() -> None:
    """Do not pickle the tokenizer for every `map` and `filter` of a trainer: it only gives the name of a cached file."""
    for module in (arrow_dataset, fingerprint):
        module.update_fingerprint = lambda *_: fingerprint.generate_random_fingerprint()


@functools.cache
def _load(model: str) -> Counter:
    return Counter(Stage(name="", shape="rl", model=model, files={}, output=""))
