"""What the user sees of a chat: questions from the keyboard or from a pipe, answers as they are generated."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from pipelines.console.progress import Progress
from pipelines.console.tables import escape_controls
from pipelines.errors import InputError, StepError
from pipelines.results.chat.commands import Conversation, is_command, run_command
from pipelines.results.chat.connection import Connection
from pipelines.results.chat.spec import Call, Done, Event, Failed, Ready, Reply, Text

_HISTORY_LINES = 1000
_ENDS = {
    "length": "cut: the answer has reached --max-tokens or the model's longest conversation",
    "turns": "cut: the tool was called in the last turn",
    "stopped": "stopped",
}


class Screen:
    """Prints an answer: its text on standard output, the rest there too, or on standard error if standard output is piped."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._colours = self._live and not os.environ.get("NO_COLOR")
        self._line_is_open = False

    @property
    def _aside(self) -> TextIO:
        return sys.stdout if self._live else sys.stderr

    def show(self, event: Event) -> None:
        """Print an event of an answer."""
        match event:
            case Text(text):
                print(escape_controls(text, keep="\n\t"), end="", flush=True)
                self._line_is_open = not text.endswith("\n")
            case Call(code):
                self._block("python_interpreter", code)
            case Reply(text):
                self._block("reply", text)
            case Done(finish=finish):
                self.close_line()
                if finish in _ENDS:
                    self.note(f"[{_ENDS[finish]}]")
            case Failed(reason):
                self.close_line()
                self.note(f"[no answer: {reason}]")
            case _:
                pass

    def note(self, text: str) -> None:
        """Print lines that are not of the model."""
        shown = escape_controls(text, keep="\n\t")
        print(f"\x1b[2m{shown}\x1b[0m" if self._colours else shown, file=self._aside, flush=True)

    def close_line(self) -> None:
        """End the line of an answer."""
        if self._line_is_open:
            print(flush=True)
        self._line_is_open = False

    def _block(self, title: str, text: str) -> None:
        self.close_line()
        self.note("\n".join([f"[{title}]", *(f"| {line}" for line in text.rstrip("\n").split("\n"))]))


def read_question() -> str | None:
    """Return the question on a piped standard input; None on a terminal.

    Raises:
        InputError: It is empty.
    """
    if sys.stdin.isatty():
        return None
    question = sys.stdin.read().strip()
    if not question:
        raise InputError("standard input is empty; pipe a question into it: echo QUESTION | pipeline chat …")
    return question


def run_chat(connection: Connection, name: str, question: str | None) -> None:
    """Answer the question, or talk with the user until the chat ends.

    Args:
        connection: A server, started.
        name: The model's name.
        question: The only question; None: ask the user.

    Raises:
        StepError: The model's process ended, or there is no answer to the only question.
    """
    ready = _wait(connection, name)
    screen, conversation = Screen(), Conversation()
    if question is not None:
        last = _answer(connection, screen, conversation, question)
        if isinstance(last, Failed):
            raise StepError("there is no answer")
        return
    screen.note(f"{name}: conversations of up to {ready.positions:,} tokens; Ctrl-C stops an answer, /help lists the commands")
    with _history():
        for line in _read_lines():
            if not line.strip():
                continue
            if is_command(line):
                said = run_command(line, conversation)
                if said is None:
                    return
                screen.note(said)
            else:
                _answer(connection, screen, conversation, line.strip())


def _wait(connection: Connection, name: str) -> Ready:
    display = Progress(sys.stderr, estimate=False, heartbeat=15.0)
    display.start(f"load {name}")
    try:
        return connection.wait_until_ready()
    finally:
        display.close()


def _answer(connection: Connection, screen: Screen, conversation: Conversation, question: str) -> Event | None:
    """Ask a question and show the answer; return its last event. Ctrl-C stops the answer, a second one the chat."""
    # JSON has no lone surrogates, which bytes of another encoding give.
    messages = conversation.ask(question.encode("utf-8", "replace").decode())
    last: Event | None = None
    try:
        for last in connection.ask(messages):
            screen.show(last)
    except KeyboardInterrupt:
        connection.stop()
        for last in connection.events():
            screen.show(last)
    if isinstance(last, Done):
        conversation.add(last.content)
    else:
        conversation.drop_question()
    return last


def _read_lines() -> Iterator[str]:
    """Yield the lines that the user types; Ctrl-C discards a line, Ctrl-D ends."""
    while True:
        try:
            yield input("> ")
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()


@contextmanager
def _history() -> Iterator[None]:
    """Edit lines with readline, and keep their history for the next chat."""
    try:
        import readline
    except ImportError:  # Python without it
        yield
        return
    path = _history_file()
    with suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY_LINES)
    try:
        yield
    finally:
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            readline.write_history_file(path)


def _history_file() -> Path:
    from platformdirs import user_state_path

    return user_state_path("code-post-training") / "chat_history"
