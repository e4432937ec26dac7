"""Run a program with the names that the graders of APPS, PRIME and LiveCodeBench import before it.

The local sandbox starts the program's `__main__` with `NAMES`. Elsewhere `main(source)` runs it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would slow down every run
    from typing import Any

_STARRED = "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json"
SOURCE = "".join(f"from {name} import *\nimport {name}\n" for name in (*_STARRED.split(), "builtins", "typing"))
"""The imports."""
NAMES: dict[str, Any] = {}
exec(SOURCE, NAMES)
NAMES = {name: value for name, value in NAMES.items() if not name.startswith("__")}


def main(source: str) -> None:
    """Run a program as `python main.py` would."""
    module = sys.modules["__main__"] = type(sys)("__main__")
    module.__dict__.update(NAMES, __file__="main.py")
    sys.argv = ["main.py"]
    exec(compile(source.removeprefix("\ufeff"), "main.py", "exec", dont_inherit=True), module.__dict__)
