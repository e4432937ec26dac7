"""Another model's architecture and tokenizer for a tiny model, where they can be had: in a folder, a cache or on the hub.

Runs inside a trainer's environment.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SECONDS = 5.0
"""How long the hub may take to answer at all. Left to itself, the client tries again for half a minute."""

_SIZES = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "shared_expert_intermediate_size": 64,
}
"""What makes a mixture of experts large."""


@dataclass(frozen=True)
class Likeness:
    """What a tiny model takes from another model."""

    config: Any
    """transformers' configuration of the other model."""
    tokenizer: Any
    """Its tokenizer, with its chat template."""
    end: Any
    """The tokens that end its answers: its generation configuration's `eos_token_id`; None where it has none."""


def read_likeness(name: str) -> Likeness | str:
    """What there is to be had of a model; why nothing is, where it cannot be had.

    Args:
        name: a folder or a hub name.
    """
    if not Path(name).is_absolute() and not _answers():
        os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    try:
        config, tokenizer = AutoConfig.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        if Path(name).is_absolute():
            return f"{name} cannot be read: {_first_line(error)}"
        offline = os.environ.get("HF_HUB_OFFLINE") == "1"
        return f"{name} is not in the hub's cache, and {'the hub does not answer' if offline else _first_line(error)}"
    try:
        end = GenerationConfig.from_pretrained(name).eos_token_id
    except (OSError, ValueError):
        end = None
    return Likeness(config, tokenizer, end)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _answers() -> bool:
    """Whether the hub says anything within a few seconds."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE") or not endpoint.startswith("http"):
        return False
    try:
        with urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def shrink_config(config: Any, sizes: Mapping[str, Any]) -> Any:
    """A configuration of the same class with other sizes; keys that the architecture does not have are left out.

    Args:
        config: transformers' configuration of the large model.
        sizes: key of `transformers` -> value, for a dense model.
    """
    given = config.to_dict()
    small = {key: value for key, value in {**_SIZES, **sizes}.items() if key in given}
    if kinds := given.get("layer_types"):
        small["layer_types"] = [kinds[layer % len(kinds)] for layer in range(sizes["num_hidden_layers"])]
    if given.get("head_dim") is not None:
        small["head_dim"] = sizes["hidden_size"] // sizes["num_attention_heads"]
    # What a large model's files were packed or compressed by is not so for new ones.
    given.pop("quantization_config", None)
    return type(config)(**{**given, **small})
