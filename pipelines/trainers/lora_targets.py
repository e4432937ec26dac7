"""Check the modules of LoRA adapters against a model; in a trainer's environment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rewards.suggestions import suggestion


def check_targets(config: Any, targets: Iterable[str]) -> None:
    """Check that a model has a linear layer of each name. No weights are loaded.

    PEFT fails only if none of the names exists, after the start of the training; a single wrong name is skipped silently.

    Args:
        config: the model's transformers configuration.
        targets: the ends of modules' names.

    Raises:
        ValueError: the first name that the model lacks.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    layers = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in layers):
            valid = {name.rpartition(".")[2] for name in layers} - {"lm_head"}
            raise ValueError(f"lora.target: the model has no linear layer {target!r}{suggestion(target, valid)}")
