"""What a runner reports from beside a program: lines of JSON that carry a token which the program is not told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def read_reports(output: str, token: str) -> Iterator[dict[str, Any]]:
    """The reports in an output, in their order. Whatever else stands there, hostile or not, is passed over."""
    for line in output.split("\n"):
        if token not in line:
            continue
        try:
            report = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(report, dict) and report.get("token") == token:
            yield report
