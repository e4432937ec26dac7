"""A runner that tells what it was given."""

from __future__ import annotations

import json
import sys


def main(code: str) -> None:
    """Prints the code, the input and its own name; raises what a code of the form `raise …` asks for."""
    if code.startswith("raise "):
        raise RuntimeError(code[6:])
    print(json.dumps({"code": code, "stdin": sys.stdin.read(), "main": __name__ == "__main__"}))
