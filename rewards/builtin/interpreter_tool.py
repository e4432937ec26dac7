"""The Python interpreter tool: its name, schema, system message and replies.

Training rows, the tool served in training and the reward that counts its calls all use these definitions, so they agree. The
chat template defines the format of calls; prompts never do.
"""

from __future__ import annotations

from typing import Any

from rewards.sandbox import Execution

NAME = "python_interpreter"
ARGUMENT = "code"
USAGE_KEY = "interpreter"
"""Key of the tool usage in a row's extra information in training: `calls` (answered), `malformed` and further counts, and
`last_turn`, the text after the tool's last reply. verl's tool loop reports them for every format of calls."""

# Fields in the order of verl's own schema, because chat templates render them in this order.
SCHEMA: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": NAME,
        "description": "Run Python code and get back what it prints.",
        "parameters": {
            "type": "object",
            "properties": {ARGUMENT: {"type": "string", "description": "The code; it prints what you want to see."}},
            "required": [ARGUMENT],
        },
    },
}
"""The function in OpenAI's format."""

SYSTEM = (
    f"You can run Python code with the function {NAME} before you answer, to compute something or to try your program. "
    "You see what the code prints. Only your last message counts as the answer."
)
"""System message of rows with the tool."""

_ENDS = {
    "timeout": "it ran out of time",
    "memory": "it ran out of memory",
    "output": "it printed too much",
    "killed": "it was killed",
}


def make_reply(execution: Execution) -> str:
    """Return the tool's reply for an execution."""
    parts = [execution.output.rstrip("\n"), execution.value or "", execution.error.rstrip("\n")]
    if execution.verdict in _ENDS:
        parts.append(f"[{_ENDS[execution.verdict]}]")
    return "\n".join(part for part in parts if part) or "[nothing was printed]"


def shorten(reply: str, characters: int) -> str:
    """Truncate the middle of a reply to at most this many characters, with a note of its length."""
    if len(reply) <= characters:
        return reply
    mark = f"\n[… {len(reply):,} characters in all, the middle is left out …]\n"
    kept = max(0, characters - len(mark))
    return reply[: kept - kept // 2] + mark + reply[len(reply) - kept // 2 :]
