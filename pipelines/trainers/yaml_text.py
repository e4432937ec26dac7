"""Rendered upstream configuration as YAML text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def to_yaml(values: Mapping[str, Any], comment: str = "") -> str:
    """Return YAML 1.1 text, keys in the given order, below a comment.

    PyYAML writes it, although ruamel.yaml reads recipes: both upstreams read YAML 1.1 with PyYAML, in which a bare `yes` is a
    boolean and a bare `1e-06` a string. Only a YAML 1.1 writer quotes them accordingly.
    """
    import yaml

    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    return lines + yaml.safe_dump(dict(values), sort_keys=False, default_flow_style=False, width=4096, allow_unicode=True)
