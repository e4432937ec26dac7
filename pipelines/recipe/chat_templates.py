"""LLaMA-Factory's chat templates.

third_party/llamafactory/templates.json lists them (generated from the pinned source by third_party/tools).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from pipelines.shipped import THIRD_PARTY
from rewards.suggestions import suggestion

TEMPLATES_FILE = THIRD_PARTY / "llamafactory" / "templates.json"
"""The generated list."""


@cache
def templates() -> Mapping[str, bool]:
    """Return template -> whether it replaces the tokenizer's chat template."""
    document = json.loads(TEMPLATES_FILE.read_text(encoding="utf-8"))
    return document["templates"]  # type: ignore[no-any-return]


def check_template(name: str | None, next_stage: str | None, model_has_template: bool | None) -> str:
    """Check the template of a stage.

    Args:
        name: the template.
        next_stage: the stage that starts from this stage's model, if any.
        model_has_template: whether the model has a chat template before this stage; None: unknown.

    Returns:
        What is wrong with it, or nothing.
    """
    if name is None:
        return ""
    if name not in templates():
        return f"LLaMA-Factory has no template {name!r}{suggestion(name, templates())}"
    if templates()[name] and next_stage is not None and model_has_template is not False:
        return (
            f"{name} would replace the model's chat template, which stage {next_stage} uses for its prompts; "
            "use one that keeps it, such as qwen, or null"
        )
    return ""
