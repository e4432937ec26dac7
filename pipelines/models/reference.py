"""The reference model of a tiny model: the architecture and tokenizer that it copies (`like` in a recipe).

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

from pipelines.models.folder import hub_endpoint, is_hub_offline

# Seconds to wait for the hub; huggingface_hub itself retries for half a minute.
_HUB_TIMEOUT = 5.0

# Sizes of a small mixture of experts.
_EXPERT_SIZES = {
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "shared_expert_intermediate_size": 64,
}


@dataclass(frozen=True)
class ReferenceModel:
    """What a tiny model copies from another model."""

    config: Any
    """Its transformers configuration."""
    tokenizer: Any
    """Its tokenizer, with its chat template."""
    eos_token_id: Any
    """`eos_token_id` of its generation configuration; None if it has none."""


def read_reference(name: str) -> ReferenceModel | str:
    """Read a model's configuration and tokenizer, or return the reason why they are not available.

    Args:
        name: a folder or a hub name.
    """
    if not Path(name).is_absolute() and not _is_hub_reachable():
        os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    try:
        config, tokenizer = AutoConfig.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        if Path(name).is_absolute():
            return f"{name} cannot be read: {reason}"
        offline = os.environ.get("HF_HUB_OFFLINE") == "1"
        return f"{name} is not in the hub's cache, and {'the hub does not answer' if offline else reason}"
    try:
        eos_token_id = GenerationConfig.from_pretrained(name).eos_token_id
    except (OSError, ValueError):
        eos_token_id = None
    return ReferenceModel(config, tokenizer, eos_token_id)


def _is_hub_reachable() -> bool:
    if is_hub_offline() or not hub_endpoint().startswith("http"):
        return False
    try:
        with urllib.request.urlopen(urllib.request.Request(hub_endpoint(), method="HEAD"), timeout=_HUB_TIMEOUT):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def shrink_config(config: Any, sizes: Mapping[str, Any]) -> Any:
    """Return a configuration of the same class with smaller sizes; sizes that the architecture lacks are ignored.

    Args:
        config: the transformers configuration of the large model.
        sizes: transformers' name of a size -> value, for a dense model.
    """
    given = config.to_dict()
    small = {key: value for key, value in {**_EXPERT_SIZES, **sizes}.items() if key in given}
    if kinds := given.get("layer_types"):
        small["layer_types"] = [kinds[layer % len(kinds)] for layer in range(sizes["num_hidden_layers"])]
    if given.get("head_dim") is not None:
        small["head_dim"] = sizes["hidden_size"] // sizes["num_attention_heads"]
    # It describes the large model's weights; the new ones are not quantized.
    given.pop("quantization_config", None)
    return type(config)(**{**given, **small})
