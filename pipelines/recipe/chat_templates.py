"""LLaMA-Factory's chat templates by name, and whether one would take the place of the model's own.

third_party/llamafactory/templates.json holds them (`pipelines.recipe.keys` writes it from the pinned source).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from pipelines.shipped import THIRD_PARTY
from rewards.suggestions import suggestion

FILE = THIRD_PARTY / "llamafactory" / "templates.json"
"""The generated list."""


@cache
def templates() -> Mapping[str, bool]:
    """Template -> whether it replaces a chat template that the tokenizer has."""
    document = json.loads(FILE.read_text(encoding="utf-8"))
    return document["templates"]  # type: ignore[no-any-return]


def check_template(name: str | None, later: str | None, has_own: bool | None) -> str:
    """What is wrong with a stage's template; empty for nothing.

    Args:
        later: a stage that begins with the stage's model, if one does.
        has_own: whether the model has a chat template before; None: not known.
    """
    if name is None:
        return ""
    if name not in templates():
        return f"LLaMA-Factory has no template {name!r}{suggestion(name, templates())}"
    if templates()[name] and later is not None and has_own is not False:
        return (
            f"{name} would replace the model's own chat template, with which stage {later} builds its prompts; "
            "take one that keeps it, such as qwen, or null"
        )
    return ""
