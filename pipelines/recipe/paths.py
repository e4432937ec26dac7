"""Paths in a recipe: which text is one, and what it is relative to."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pipelines.recipe import deepspeed, schema_lookup
from pipelines.recipe.nodes import Loc, Node
from preprocess.config import PathRule

_HUB_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*(/[\w.-]+(:[\w.-]+)?(@[\w.\[\]:%+-]+)?)?", re.ASCII)
# A hub name may have dots (Qwen2.5-Coder), so only what is plainly a file's ending counts.
_FILE_ENDINGS = (
    *(".json", ".jsonl", ".parquet", ".arrow", ".csv", ".tsv", ".txt", ".yaml", ".yml", ".py", ".pkl"),
    *(".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".safetensors", ".bin"),
)


def is_path(text: str, folder: Path) -> bool:
    """Whether `text` names something on disk rather than on a hub.

    It is a path when it begins with `/`, `./`, `../` or `~`, when it exists relative to `folder`, when it ends like a
    data file, or when it is not of the form `name`, `owner/name` or
    `owner/name:subset@split`. `scheme://…` is no path.
    """
    if "://" in text:
        return False
    if text.startswith(("/", "~")) or text.split("/")[0] in (".", ".."):
        return True
    if Path(text).suffix.lower() in _FILE_ENDINGS or not _HUB_NAME.fullmatch(text):
        return True
    return (folder / text).exists()


def absolute(text: str, folder: Path) -> str:
    """`text` as an absolute path without `..`; symbolic links are left as they are."""
    return os.path.normpath(folder / Path(text).expanduser())


def resolve(root: Node) -> Node:
    """Makes the paths of a recipe absolute, each relative to where it was written, and gives text fields their text."""
    names = {name for stage in _stages(root) if (name := _text(stage, "name"))}
    changed: dict[Loc, Node] = {}
    for loc, node, found in schema_lookup.leaves(root):
        if node.raw is not None and not isinstance(node.value, str | None) and schema_lookup.takes_text_only(found):
            # RUN=7 in the environment or on the command line is the text "7" where text is asked for.
            node = changed[loc] = node.with_value(node.raw)
        rule = schema_lookup.path_rule(found)
        if rule is not None and isinstance(node.value, str) and node.value and _applies(rule, node, names):
            changed[loc] = node.with_value(absolute(node.value, node.origin.folder))
    for loc, node, text in deepspeed.written(root):
        if deepspeed.is_path(text):
            changed[loc] = node.with_value(absolute(text, node.origin.folder))
    return _replaced(root, (), changed) if changed else root


def _applies(rule: PathRule, node: Node, stages: set[str]) -> bool:
    text = str(node.value)
    if rule.stage and text in stages:
        return False
    return not rule.hub or is_path(text, node.origin.folder)


def _replaced(node: Node, loc: Loc, changed: dict[Loc, Node]) -> Node:
    if loc in changed:
        return changed[loc]
    if isinstance(node.value, dict):
        return node.with_value({key: _replaced(child, (*loc, key), changed) for key, child in node.value.items()})
    if isinstance(node.value, list):
        return node.with_value([_replaced(item, (*loc, index), changed) for index, item in enumerate(node.value)])
    return node


def _stages(root: Node) -> list[Node]:
    stages = root.child("stages")
    return stages.items if stages is not None else []


def _text(node: Node, key: str) -> str | None:
    child = node.children.get(key)
    return child.value if child is not None and isinstance(child.value, str) else None
