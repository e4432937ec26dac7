"""One line of a trainer's log: who wrote it, when, and how serious it is, in the forms of Ray, torch, vLLM and transformers."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
"""Colours, moves of the cursor, titles of windows."""

_PROCESS = re.compile(r"\((?:[\w.:]+ )?pid=(\d+)(?:, ip=[\d.]+)?\) ?")
"""Ray's and vLLM's prefix, such as `(WorkerDict pid=4500, ip=10.0.0.2) `."""

_RANK = re.compile(r"\[rank ?(\d+)\]:? ?", re.IGNORECASE)
"""torch's and verl's prefix."""

_BAR = re.compile(
    # Training:  34%|███▌      | 151/450 [00:00<00:00, 11.9it/s]
    r"[^|\r]{0,300}?\d+%(?:\|[^|]*\|| Completed \|)\s*\S+\s*\[[^\]]*\]"
    # Generating train split: 8 examples [00:00, 325.05 examples/s]
    r"|[^\[\r]{0,300}?\d+ ?\w+ \[\d\d:\d\d[^\]]*/s\]"
)
"""A bar of tqdm, which may stand before other text."""

_TIME = r"(?P<time>\d\d:\d\d:\d\d)"
_LEVEL = r"(?P<level>DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL|[IWEF])"
_HEADS = [
    re.compile(pattern)
    for pattern in (
        rf"{_LEVEL}:\d{{4}}-\d\d-\d\d {_TIME},\d+:",  # verl: INFO:2026-11-28 06:38:07,332:
        rf"\[{_LEVEL}\|[\w.]+:\d+\] \d{{4}}-\d\d-\d\d {_TIME},\d+ >> ",  # transformers
        rf"\[{_LEVEL}\|\d{{4}}-\d\d-\d\d {_TIME}\] [\w.]+:\d+ >> ",  # LLaMA-Factory
        rf"{_LEVEL} \d\d-\d\d {_TIME} \[\S+?:\d+\] ",  # vLLM: WARNING 11-28 06:39:22 [vllm.py:609]
        rf"\d{{4}}-\d\d-\d\d {_TIME},\d+\s+{_LEVEL} \S+:\d+ -- ",  # Ray
        rf"\d{{4}}-\d\d-\d\d {_TIME},\d+ - {_LEVEL} - \S+ - ",  # transfer_queue
        rf"\[?{_LEVEL}\d{{4}} {_TIME}\.\d+ +(?:\d+ )?\S+:\d+\] ",  # torch: [W1128 06:39:34.200110549 utils.cpp:68]
    )
]

_LONGEST = 1000
"""Characters of a line in which what is at its beginning is searched for."""

_IN_CODE = re.compile(r"/\S*/(?=[^/\s]+/[^/\s]+\.py:\d+: )")
"""The folder in front of the place of a Python warning."""

_SERIOUS = re.compile(
    r"^(?:\S+:\d+: )?(?:\w+\.)*\w*(?:Warning|Error|Exception|Interrupt)\b(?::|$)|^warning\b|^error\b|^Traceback \(|^fatal\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Message:
    """A line of a log."""

    text: str
    """Without what is in the other fields; empty for a progress bar."""
    time: str = ""
    """Such as `06:38:07`; empty: none was logged."""
    level: str = ""
    """`WARNING` and above; empty for others."""
    process: str = ""
    """The number of Ray's process; empty: none is named."""
    rank: int | None = None

    @property
    def is_warning(self) -> bool:
        """Whether it reports a problem."""
        return bool(self.level) or _SERIOUS.match(self.text) is not None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.time, self.level, self.text)))


def parse(line: str) -> Message:
    """Return the message of a line.

    Of a line that was redrawn, only the last text that is no progress bar is kept.
    """
    line = _ESCAPES.sub("", line)
    process = ""
    while (found := _PROCESS.match(line.lstrip("\r"))) is not None:
        process, line = process or found[1], line.lstrip("\r")[found.end() :]
    drawn = (_remove_bar(each).rstrip() for each in reversed(line.split("\r")))
    line = next((each for each in drawn if each), "")
    rank = None
    if (found := _RANK.match(line)) is not None:
        rank, line = int(found[1]), line[found.end() :]
    time = level = ""
    for head in _HEADS:
        if (found := head.match(line)) is not None:
            time, level, line = found["time"], found["level"], line[found.end() :]
            break
    level = {"W": "WARNING", "WARN": "WARNING", "E": "ERROR", "F": "FATAL"}.get(level, level)
    level = "" if level in ("I", "INFO", "DEBUG") else level
    return Message(_IN_CODE.sub("", line, count=1) if ".py:" in line[:_LONGEST] else line, time, level, process, rank)


def _remove_bar(text: str) -> str:
    """Return what follows a progress bar at the beginning of a text, or the text."""
    found = _BAR.match(text) if "/s" in text or "it]" in text else None
    return text if found is None else text[found.end() :]
