"""Small stages and their context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.recipe.schema import Recipe, RlStage, SftStage
from pipelines.trainers.base import Context, Platform, StagePaths


def rl_stage(**changes: Any) -> RlStage:
    """Return a GRPO stage of four steps with changed fields; `...` removes a field."""
    fields: dict[str, Any] = {
        "name": "one",
        "kind": "rl",
        "algorithm": "grpo",
        "data": {"train": {"converter": "any", "source": "rows"}, "validation": {"fraction": 0.1}},
        "reward": "white_box",
        "steps": 4,
        "learning_rate": 1e-6,
        "batch": {"prompts": 8, "mini": 4, "micro_per_gpu": 2},
        "rollout": {"samples": 4, "max_prompt_tokens": 256, "max_response_tokens": 128},
    }
    fields |= changes
    return RlStage.model_validate({key: value for key, value in fields.items() if value is not ...})


def sft_stage(**changes: Any) -> SftStage:
    """Return a supervised stage of four steps by verl with changed fields; `...` removes a field."""
    fields: dict[str, Any] = {
        "name": "one",
        "kind": "sft",
        "trainer": "verl",
        "data": {"train": {"converter": "any", "source": "rows"}, "validation": {"fraction": 0.1}},
        "steps": 4,
        "learning_rate": 1e-5,
        "batch": {"per_device": 2, "accumulate": 3},
        "max_tokens": 512,
    }
    fields |= changes
    return SftStage.model_validate({key: value for key, value in fields.items() if value is not ...})


def context(
    stage: RlStage | SftStage, platform: Platform = "cpu", root: Path = Path("/runs/demo/stages/one"), **hardware: int
) -> Context:
    """Return a context whose paths do not exist."""
    recipe = Recipe.model_validate({"name": "demo", "model": "org/model", "seed": 17, "hardware": hardware, "stages": [stage]})
    return Context(
        recipe=recipe,
        platform=platform,
        python=Path("/environment/bin/python"),
        source=Path("/checkout"),
        paths=StagePaths(root),
        model="/models/start",
    )
