"""`llamafactory.deepspeed`: a file of the pinned checkout by its short name, or a path."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.recipe.nodes import Loc, Node
from rewards.suggestions import any_of, did_you_mean

# In examples/deepspeed of the checkout (v0.9.5).
FILES = {
    "zero0": "ds_z0_config.json",
    "zero2": "ds_z2_config.json",
    "zero2_offload": "ds_z2_offload_config.json",
    "zero3": "ds_z3_config.json",
    "zero3_offload": "ds_z3_offload_config.json",
}


def is_path(text: str) -> bool:
    """Return whether a value is a path rather than a short name."""
    return "/" in text or text.endswith(".json")


def find_values(root: Node) -> Iterator[tuple[Loc, str]]:
    """Find every text value of `deepspeed` in a recipe, with its location."""
    for index, stage in enumerate(root.stages):
        section = stage.child("llamafactory")
        if section is not None and (text := section.text("deepspeed")) is not None:
            yield ("stages", index, "llamafactory", "deepspeed"), text


def check(root: Node) -> Iterator[tuple[Loc, str]]:
    """Find unknown short names: location and message."""
    for loc, text in find_values(root):
        if text not in FILES and not is_path(text):
            yield loc, f"found {text!r}, expected {any_of(FILES)}, or the path of a .json file{did_you_mean(text, FILES)}"
