"""`llamafactory.deepspeed`: a file of the pinned checkout by its short name, or a file of one's own."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.recipe.nodes import Loc, Node
from rewards.suggestions import any_of, did_you_mean

# The checkout ships them under these names (examples/deepspeed, v0.9.5).
FILES = {
    "zero0": "ds_z0_config.json",
    "zero2": "ds_z2_config.json",
    "zero2_offload": "ds_z2_offload_config.json",
    "zero3": "ds_z3_config.json",
    "zero3_offload": "ds_z3_offload_config.json",
}


def written(root: Node) -> Iterator[tuple[Loc, Node, str]]:
    """Every text that a recipe says for `deepspeed`, with its place."""
    stages = root.child("stages")
    for index, stage in enumerate(stages.items if stages is not None else []):
        section = stage.children.get("llamafactory")
        node = section.children.get("deepspeed") if section is not None else None
        if node is not None and isinstance(node.value, str):
            yield ("stages", index, "llamafactory", "deepspeed"), node, node.value


def is_path(text: str) -> bool:
    """Whether a text is meant as a file rather than a short name."""
    return "/" in text or text.endswith(".json")


def check(root: Node) -> Iterator[tuple[Loc, str]]:
    """Short names that stand for no file: the place and the message."""
    for loc, _, text in written(root):
        if text not in FILES and not is_path(text):
            yield loc, f"found {text!r}, expected {any_of(FILES)}, or the path of a .json file{did_you_mean(text, FILES)}"
