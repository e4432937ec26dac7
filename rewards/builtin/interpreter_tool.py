"""The interpreter tool as a model meets it: its name, its schema, what a prompt says of it and what it replies.

Rows that teach it, the tool that is served in training and the reward that counts its calls all take it from here, so that
they agree. How a call is written is for the chat template to say, never for a prompt.
"""

from __future__ import annotations

from typing import Any

from rewards.sandbox import Execution

NAME = "python_interpreter"
ARGUMENT = "code"
ACCOUNT = "interpreter"
"""Key of a row's extra information in training: `calls` (answered), `malformed` and further counts, and `last_turn`, the text
after the tool's last reply. verl's tool loop knows them in every format of calls."""
DESCRIPTION = "Run Python code and get back what it prints."

# In the order in which verl's own schema writes its fields: a chat template shows them as they come.
SCHEMA: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": NAME,
        "description": DESCRIPTION,
        "parameters": {
            "type": "object",
            "properties": {ARGUMENT: {"type": "string", "description": "The code; it prints what you want to see."}},
            "required": [ARGUMENT],
        },
    },
}
"""The function, in OpenAI's form."""

SYSTEM = (
    f"You can run Python code with the function {NAME} before you answer, to compute something or to try your program. "
    "You see what the code prints. Only your last message counts as the answer."
)
"""The system message of rows whose model has the tool."""

_ENDS = {
    "timeout": "it ran out of time",
    "memory": "it ran out of memory",
    "output": "it printed too much",
    "killed": "it was killed",
}


def make_reply(execution: Execution) -> str:
    """What the tool replies when the code has run."""
    said = [execution.output.rstrip("\n"), execution.value or "", execution.error.rstrip("\n")]
    if execution.verdict in _ENDS:
        said.append(f"[{_ENDS[execution.verdict]}]")
    return "\n".join(part for part in said if part) or "[nothing was printed]"


def shorten(reply: str, characters: int) -> str:
    """The reply in so many characters at most; one that is longer loses its middle, and says how long it was."""
    if len(reply) <= characters:
        return reply
    mark = f"\n[… {len(reply):,} characters in all, the middle is left out …]\n"
    kept = max(0, characters - len(mark))
    return reply[: kept - kept // 2] + mark + reply[len(reply) - kept // 2 :]
