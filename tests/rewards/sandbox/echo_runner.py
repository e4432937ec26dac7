"""A runner that prints its input."""

from __future__ import annotations

import json
import sys


def main(code: str) -> None:
    """Print the code, the standard input and whether this is `__main__`; raise for code of the form `raise MESSAGE`."""
    if code.startswith("raise "):
        raise RuntimeError(code[6:])
    print(json.dumps({"code": code, "stdin": sys.stdin.read(), "main": __name__ == "__main__"}))
