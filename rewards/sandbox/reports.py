"""Reports of a runner in a program's output: lines of JSON that carry a token unknown to the program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def read_reports(output: str, token: str) -> Iterator[dict[str, Any]]:
    """Yield the reports in an output, in order. Skip all other lines, hostile or not."""
    for line in output.split("\n"):
        if token not in line:
            continue
        try:
            report = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(report, dict) and report.get("token") == token:
            yield report
