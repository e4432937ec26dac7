"""The built-in functions as they are before any program runs."""

from __future__ import annotations

import builtins
from typing import Any

_BUILT_INS = {name: value for name, value in vars(builtins).items() if not name.startswith("_")}


def keep_built_ins(namespace: dict[str, Any]) -> None:
    """Makes them names of a module: what a program does to the built-in ones does not reach it then."""
    namespace.update(_BUILT_INS)
