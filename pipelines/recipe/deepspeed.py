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


def find_values(root: Node) -> Iterator[tuple[Loc, Node]]:
    """Find every text value of `deepspeed` in a recipe."""
    for index, stage in enumerate(root.stages):
        section = stage.children.get("llamafactory")
        node = section.children.get("deepspeed") if section is not None else None
        if node is not None and isinstance(node.value, str):
            yield ("stages", index, "llamafactory", "deepspeed"), node


def is_path(text: str) -> bool:
    """Return whether a value is a path rather than a short name."""
    return "/" in text or text.endswith(".json")


def check(root: Node) -> Iterator[tuple[Loc, str]]:
    """Find unknown short names: location and message."""
    for loc, node in find_values(root):
        text = str(node.value)
        if text not in FILES and not is_path(text):
            yield loc, f"found {text!r}, expected {any_of(FILES)}, or the path of a .json file{did_you_mean(text, FILES)}"
