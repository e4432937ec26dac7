"""References between upstream keys in OmegaConf's notation: `${actor_rollout_ref.model.path}`, `${oc.env:NAME,default}`."""

from __future__ import annotations

import re
from collections.abc import Collection

from rewards.suggestions import did_you_mean

_OPEN = re.compile(r"(\\*)\$\{")
# A reference without others in it.
_INNER = re.compile(r"\$\{((?:[^${}]|\{\})*)\}")
_KEY = re.compile(r"\.*[A-Za-z_][\w-]*(\.\w[\w-]*|\[[\w-]+\])*")
_RESOLVERS = ("oc.env", "oc.select", "oc.decode", "oc.create", "oc.deprecated", "oc.dict.keys", "oc.dict.values", "hydra")


def find_problem(text: str, keys: Collection[str]) -> str:
    """Return why the references in a text cannot be resolved; empty: they can.

    Args:
        text: The value of a key.
        keys: All keys and groups that exist. Relative references (`${.lr}`) are not looked up.
    """
    if text == "???":
        return "found ???, which OmegaConf reads as a missing value; put another text here, or remove the key"
    rest = text
    while match := _INNER.search(rest):
        if message := _check(match[1].strip(), keys):
            return f"{message} in {text!r}"
        rest = rest[: match.start()] + "x" + rest[match.end() :]
    return f"found {text!r}, a reference without its closing brace" if _OPEN.search(rest) else ""


def _check(inner: str, keys: Collection[str]) -> str:
    resolver, colon, _ = inner.partition(":")
    if colon:
        known = resolver.strip() in _RESOLVERS
        return "" if known else f"unknown resolver {resolver!r}{did_you_mean(resolver, _RESOLVERS)}"
    if not _KEY.fullmatch(inner):
        return f"found the reference {inner!r}, expected a key"
    if inner.startswith(".") or "[" in inner or inner in keys or any(key.startswith(f"{inner}.") for key in keys):
        return ""
    return "" if any(inner.startswith(f"{key}.") for key in keys) else f"no key {inner!r}{did_you_mean(inner, keys)}"
