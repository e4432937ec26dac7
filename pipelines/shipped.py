"""The folders that ship with this project: its code, the recipes and the upstreams' pins."""

from __future__ import annotations

from pathlib import Path

CODE = Path(__file__).resolve().parents[1]
"""The folder that holds the packages: the checkout, or site-packages."""

_DATA = CODE if (CODE / "third_party" / "verl" / "pin.toml").is_file() else Path(__file__).resolve().parent / "_shipped"

RECIPES = _DATA / "recipes"
THIRD_PARTY = _DATA / "third_party"
