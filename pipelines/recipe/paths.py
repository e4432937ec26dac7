"""Paths in a recipe: telling them from hub names, and making them absolute."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import NoneType

from pydantic import BaseModel

from pipelines.recipe import deepspeed, schema_lookup
from pipelines.recipe.nodes import Loc, Node
from pipelines.recipe.schema import Recipe
from preprocess.config import PathRule

_HUB_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*(/[\w.-]+(:[\w.-]+)?(@[\w.\[\]:%+-]+)?)?", re.ASCII)
# Hub names may contain dots (Qwen2.5-Coder), so a suffix alone does not make a path.
_FILE_SUFFIXES = (
    *(".json", ".jsonl", ".parquet", ".arrow", ".csv", ".tsv", ".txt", ".yaml", ".yml", ".py", ".pkl"),
    *(".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".safetensors", ".bin"),
)


def is_path(text: str, folder: Path) -> bool:
    """Return whether `text` is a path rather than a hub name.

    It is a path if it begins with `/`, `./`, `../` or `~`, exists relative to `folder`, has the suffix of a data file, or does
    not have the form `name`, `owner/name` or `owner/name:subset@split`. `scheme://…` is not a path.
    """
    if "://" in text:
        return False
    if text.startswith(("/", "~")) or text.split("/")[0] in (".", ".."):
        return True
    if Path(text).suffix.lower() in _FILE_SUFFIXES or not _HUB_NAME.fullmatch(text):
        return True
    return (folder / text).exists()


def resolve(root: Node, model: type[BaseModel] = Recipe) -> Node:
    """Make the paths of a recipe absolute, each relative to where it was written; restore the text of text fields.

    Args:
        root: The recipe, or another file.
        model: Its type.
    """
    names = {stage.name for stage in root.stages}
    changed: dict[Loc, Node] = {}
    for loc, node, kinds in schema_lookup.typed_scalars(root, model):
        if node.raw is not None and not isinstance(node.value, str | None) and {kind for kind, _ in kinds} <= {str, NoneType}:
            # RUN=7 in the environment or on the command line is the text "7" in a text field.
            node = changed[loc] = node.with_value(node.raw)
        rule = next((mark for _, metadata in kinds for mark in metadata if isinstance(mark, PathRule)), None)
        if rule is None or not isinstance(node.value, str) or not node.value or (rule.stage and node.value in names):
            continue
        if rule.suffixes and not node.value.endswith(rule.suffixes):
            continue
        if not rule.hub or is_path(node.value, node.origin.folder):
            changed[loc] = _absolute(node, node.value)
    for loc, text in deepspeed.find_values(root):
        if deepspeed.is_path(text):
            changed[loc] = _absolute(root.nearest(loc), text)
    return root.replace(changed)


def _absolute(node: Node, text: str) -> Node:
    """Resolve `..` but not symbolic links."""
    return node.with_value(os.path.normpath(node.origin.folder / Path(text).expanduser()))
