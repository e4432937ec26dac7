"""Scores a response by a class of the installed InternBootcamp package: runs in the sandbox, beside the response.

Reads one JSON object: `name` (of the class), `response`, `identity`, `options` (of `verify_score`) and `token`. Writes
one JSON line with the token and `score`, or `no_package` (why), `no_class` (the classes there are), or `error`.
Some bootcamps evaluate what a response holds, so the line could be forged by one that looks for the token.
"""

from __future__ import annotations

import importlib
import json
import os


def main(code: str) -> None:
    """Scores one response."""
    task = json.loads(code)
    channel = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)

    def report(**result: object) -> None:
        os.write(channel, (json.dumps({"token": task["token"], **result}) + "\n").encode())

    try:
        package = importlib.import_module(task["package"])
    except BaseException as error:
        report(no_package=f"{type(error).__name__}: {error}"[:300])
        return
    found = getattr(package, task["name"], None)
    if found is None:
        report(no_class=[name for name in dir(package) if name.lower().endswith("bootcamp")])
        return
    try:
        score = float(found.verify_score(task["response"], task["identity"], **task["options"]))
    except BaseException as error:
        report(error=f"{type(error).__name__}: {error}"[:300])
    else:
        report(score=score)
