"""Configuration as YAML text: the one way a rendered upstream configuration is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def to_yaml(values: Mapping[str, Any], comment: str = "") -> str:
    """YAML text, keys in the order given, under a comment.

    Written by PyYAML although recipes are read by ruamel.yaml: both upstreams read YAML 1.1 with PyYAML, in which a bare
    `yes` is a truth value and a bare `1e-06` a string, and only a YAML 1.1 writer quotes and dots them accordingly.
    """
    import yaml

    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    return lines + yaml.safe_dump(dict(values), sort_keys=False, default_flow_style=False, width=4096, allow_unicode=True)
