"""What a response made of the tool: counted call by call, reported step by step and to the reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

OPENINGS = {
    "hermes": "<tool_call>",
    "qwen3_coder": "<tool_call>",
    "gpt-oss": " to=functions.",
    "glm": "<tool_call>",
    "seed": "<seed:tool_call>",
    "minimax": "<minimax:tool_call>",
    "kimi": "<|tool_call_begin|>",
    "deepseek_v4": "<\uff5cDSML\uff5cinvoke",
}
"""What a call begins with, by the name of verl's parser (experimental/agent_loop/tool_parser.py)."""


@dataclass
class Usage:
    """The calls of one response."""

    calls: int = 0
    """All that verl came to, those included that were no good."""
    malformed: int = 0
    """Calls of another tool, without code, or that could not be read, which ends the response."""
    cut: int = 0
    """Calls that were not run, because the response ended with them: it was too long, or had no turn left."""
    errors: int = 0
    """Code that ended with an error, or at a limit other than its time."""
    timeouts: int = 0
    """Code that ran out of time."""
    failures: int = 0
    """Code that was not run, because the sandbox failed."""
    seconds: float = 0.0
    """From call to reply, waiting included."""

    def add(self, said: Mapping[str, Any]) -> None:
        """Counts a call by what the tool said of it; nothing, where verl did not ask the tool."""
        verdict = said.get("verdict", "malformed")
        self.calls += 1
        self.seconds += said.get("seconds", 0.0)
        if verdict == "malformed":
            self.malformed += 1
        elif verdict == "failed":
            self.failures += 1
        elif verdict == "timeout":
            self.timeouts += 1
        elif verdict != "ok":
            self.errors += 1

    def miss(self, came_to_it: bool) -> None:
        """Counts a turn with a call that verl did not answer: it could not read it, or did not come to it."""
        if came_to_it:
            self.add({})
        else:
            self.cut += 1


def summarise(usages: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """A step's metrics: mean and greatest value of a response. None where no response could have called the tool."""
    metrics: dict[str, float] = {}
    for name in asdict(Usage()) if usages else ():
        values = [float(usage[name]) for usage in usages]
        metrics |= {f"tool/{name}/mean": sum(values) / len(values), f"tool/{name}/max": max(values)}
    return metrics
