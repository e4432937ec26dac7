"""The conversation of a chat, and the commands that change it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.results.chat.spec import Message
from rewards.suggestions import suggestion

COMMANDS = {
    "/clear": "forget the conversation",
    "/system": "/system TEXT sets the system message; /system alone shows it",
    "/help": "list the commands",
    "/quit": "end the chat, as Ctrl-D does",
}
"""Command -> what it does."""


@dataclass
class Conversation:
    """The messages so far."""

    system: str | None = None
    """The system message; None: that of the stage, or the chat template's own."""
    turns: list[Message] = field(default_factory=list)

    def ask(self, question: str) -> list[Message]:
        """Add a question; return all messages."""
        self.turns.append(Message("user", question))
        return [*([Message("system", self.system)] if self.system else []), *self.turns]

    def add(self, answer: str) -> None:
        """Add the answer to the last question."""
        self.turns.append(Message("assistant", answer))

    def drop_question(self) -> None:
        """Remove the last question, which has no answer."""
        if self.turns and self.turns[-1].role == "user":
            self.turns.pop()


def is_command(line: str) -> bool:
    """Return whether a line is a command: a word after a slash, but not a path."""
    word = line.split(maxsplit=1)[0] if line.strip() else ""
    return word.startswith("/") and word[1:].isalpha()


def run_command(line: str, conversation: Conversation) -> str | None:
    """Run a command; return what to print, None to end the chat."""
    word, _, rest = line.strip().partition(" ")
    match word:
        case "/quit":
            return None
        case "/clear":
            conversation.turns.clear()
            return "the conversation begins again"
        case "/system" if rest.strip():
            conversation.system = rest.strip()
            return "the system message is set"
        case "/system":
            return conversation.system or "no system message is set; the stage's is used if it has one"
        case "/help":
            return "\n".join(f"{name:<8} {text}" for name, text in COMMANDS.items())
    return f"no command {word}{suggestion(word, COMMANDS)}; begin with a space to ask this"
