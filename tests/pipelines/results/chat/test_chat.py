"""Chats with a stand-in of vLLM: the real server under the supervisor, the real terminal."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.errors import StepError
from pipelines.evaluation.spec import Generation
from pipelines.results.chat.commands import Conversation, is_command, run_command
from pipelines.results.chat.connection import Connection
from pipelines.results.chat.spec import ChatSpec, Done, Event, Failed, Message, Text
from pipelines.results.chat.streaming import TurnText
from pipelines.run import process
from tests.pipelines.evaluation.fakes import write_fakes
from tests.pipelines.results.making import make_run, write_rl_checkpoints


def question(text: str) -> list[Message]:
    return [Message("user", text)]


def text_of(events: list[Event]) -> str:
    return "".join(each.text for each in events if isinstance(each, Text))


@pytest.fixture
def make_spec(tmp_path: Path) -> Callable[..., ChatSpec]:
    def make(temperature: float = 0.0, max_tokens: int = 50, **variables: str) -> ChatSpec:
        given = write_fakes(tmp_path) | {"FAKE_STREAM": "0"} | variables
        generation = Generation(python=sys.executable, variables=given, platform="cpu")
        return ChatSpec(model=str(tmp_path / "model"), generation=generation, max_tokens=max_tokens, temperature=temperature)

    return make


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, which must be empty at the end."""
    state = tmp_path_factory.mktemp("state")  # first: pytest's own folder is not in this one
    folder = Path(tempfile.mkdtemp(prefix="plt"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    yield folder
    assert [each.name for each in folder.iterdir()] == []
    folder.rmdir()


def test_answers_arrive_in_parts(make_spec: Callable[..., ChatSpec]) -> None:
    with Connection(make_spec()) as connection:
        assert connection.wait_until_ready().positions == 100
        events = list(connection.ask(question("héllo|")))
        assert text_of(events) == "héllo"
        assert len(events) > 3, "text came in parts"
        assert events[-1] == Done("héllo", "stop", 5)
        again = list(connection.ask([*question("héllo|"), Message("assistant", "héllo"), *question("more|")]))
        assert again[-1] == Done("more", "stop", 4)


def test_an_answer_is_cut(make_spec: Callable[..., ChatSpec]) -> None:
    with Connection(make_spec(max_tokens=3)) as connection:
        connection.wait_until_ready()
        assert list(connection.ask(question("hello|")))[-1] == Done("hel", "length", 3)


def test_an_answer_is_stopped(make_spec: Callable[..., ChatSpec]) -> None:
    with Connection(make_spec(FAKE_STREAM="0.05")) as connection:
        connection.wait_until_ready()
        events = connection.ask(question("a" * 50 + "|"))
        first = next(events)
        connection.stop()
        rest = list(connection.events())
        assert isinstance(rest[-1], Done) and rest[-1].finish == "stopped"
        said = text_of([first, *rest])
        assert rest[-1].content == said and 0 < len(said) < 50
        assert list(connection.ask(question("next|")))[-1] == Done("next", "stop", 4), "the chat continues"


def test_what_cannot_be_answered(make_spec: Callable[..., ChatSpec]) -> None:
    with Connection(make_spec()) as connection:
        connection.wait_until_ready()
        assert list(connection.ask(question("x" * 100))) == [
            Failed("the conversation has 100 tokens, and the model reads 100; /clear starts again")
        ]
        (failed,) = connection.ask(question("refused"))
        assert failed == Failed("the model's chat template does not render its prompt: no such role")
        assert list(connection.ask(question("next|")))[-1] == Done("next", "stop", 4), "the chat continues"


def test_a_model_that_does_not_load(make_spec: Callable[..., ChatSpec], temporary: Path) -> None:
    with (
        pytest.raises(StepError, match="the model's process ended with status 1: RuntimeError: no memory") as raised,
        Connection(make_spec(FAKE_FAILURE="no memory")) as connection,
    ):
        connection.wait_until_ready()
    log = Path(str(raised.value).rpartition("whole log: ")[2])
    assert "no memory" in log.read_text(), "the log stays"
    for each in log.parent.iterdir():
        each.unlink()
    log.parent.rmdir()


def test_a_server_that_is_killed(make_spec: Callable[..., ChatSpec]) -> None:
    with pytest.raises(StepError, match="was killed by signal 9") as raised, Connection(make_spec()) as connection:
        connection.wait_until_ready()
        for each in process.find_processes(connection._folder):
            if "chat.server" in " ".join(each.cmdline()) and "supervisor" not in " ".join(each.cmdline()):
                each.kill()
        list(connection.ask(question("a|")))
    log = Path(str(raised.value).rpartition("whole log: ")[2])
    for path in log.parent.iterdir():
        path.unlink()
    log.parent.rmdir()


def test_nothing_is_left_running(make_spec: Callable[..., ChatSpec]) -> None:
    with Connection(make_spec()) as connection:
        connection.wait_until_ready()
        folder = connection._folder
        assert process.find_processes(folder)
    assert process.find_processes(folder) == {}
    assert not folder.exists()


# `pipeline` with the stand-in instead of verl's environment.
_PROGRAM = """
import sys
import msgspec
from pipelines.cli import main
from pipelines.cli.models import chat
before = chat.make_generation
chat.make_generation = lambda *given: msgspec.structs.replace(before(*given), python=sys.executable, variables={variables!r})
chat.ensure_generator = lambda generation: None
main.main()
"""


class Typed:
    """`pipeline chat` on a terminal of its own."""

    def __init__(self, model: Path, variables: dict[str, str], *options: str) -> None:
        master, slave = pty.openpty()
        argv = [sys.executable, "-c", _PROGRAM.format(variables=variables), "chat", str(model), *options]
        self.process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env={**os.environ, "TERM": "xterm"}
        )
        os.close(slave)
        self._terminal = master
        self.seen = ""
        self._read = 0
        """The end of the last text that was waited for."""

    def wait_for(self, text: str) -> None:
        """Wait until the terminal shows a text after the one that was waited for before."""
        deadline = time.monotonic() + 120
        while (found := self.seen.find(text, self._read)) < 0:
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"timed out: {self.seen}"
            try:
                read = os.read(self._terminal, 1 << 16).decode("utf-8", "replace")
            except OSError as error:
                assert error.errno == errno.EIO
                pytest.fail(f"ended early: {self.seen}")
            self.seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", read)
        self._read = found + len(text)

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def end(self) -> int:
        """Wait until it ends; return its exit status."""
        try:
            while os.read(self._terminal, 1 << 16):
                pass
        except OSError:
            pass
        os.close(self._terminal)
        return self.process.wait()


def test_a_talk_on_a_terminal(make_spec: Callable[..., ChatSpec], tmp_path: Path) -> None:
    variables = make_spec(FAKE_STREAM="0.02").generation.variables
    typed = Typed(tmp_path / "model", variables)
    typed.wait_for("conversations of up to 100 tokens")
    typed.wait_for("> ")
    typed.type("hello|\n")
    typed.wait_for("\nhello\n> ")
    typed.type("/system be brief\n")
    typed.wait_for("the system message is set\n")
    typed.type("/clera\n")
    typed.wait_for("no command /clera; did you mean '/clear'?")
    typed.type("b" * 90 + "|\n")
    typed.wait_for("b|\nbb")  # the answer, after what was typed
    os.kill(typed.process.pid, signal.SIGINT)
    typed.wait_for("[stopped]\n> ")
    typed.type("again|\n")
    typed.wait_for("\nagain\n> ")
    typed.type("/quit\n")
    assert typed.end() == 0
    (history,) = Path(os.environ["XDG_STATE_HOME"]).rglob("chat_history")
    assert "hello|" in history.read_text()
    assert history.stat().st_mode & 0o77 == 0


def test_ctrl_d_ends_the_chat(make_spec: Callable[..., ChatSpec], tmp_path: Path) -> None:
    typed = Typed(tmp_path / "model", make_spec().generation.variables)
    typed.wait_for("> ")
    typed.type("\x04")
    assert typed.end() == 0


def test_ctrl_c_while_the_model_loads(make_spec: Callable[..., ChatSpec], tmp_path: Path) -> None:
    variables = make_spec().generation.variables
    (tmp_path / "fakes" / "vllm.py").write_text("import time\ntime.sleep(600)\n")
    typed = Typed(tmp_path / "model", variables)
    typed.wait_for("load ")
    os.kill(typed.process.pid, signal.SIGINT)
    assert typed.end() == 130


def piped(model: Path, variables: dict[str, str], text: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", _PROGRAM.format(variables=variables), "chat", str(model)]
    return subprocess.run(argv, input=text, capture_output=True, text=True)


def test_a_piped_question(make_spec: Callable[..., ChatSpec], tmp_path: Path) -> None:
    variables = make_spec().generation.variables
    done = piped(tmp_path / "model", variables, "two\nlines|\n")
    assert (done.returncode, done.stdout) == (0, "two\nlines\n"), done.stderr
    done = piped(tmp_path / "model", variables, "\n")
    assert done.returncode == 2
    assert done.stderr == "error: standard input is empty; pipe a question into it: echo QUESTION | pipeline chat …\n"
    done = piped(tmp_path / "model", variables, "\x1b[31mred\u202e|")
    assert done.stdout == "\\x1b[31mred\\u202e\n", "control characters of an answer are shown"
    done = piped(tmp_path / "model", variables, "refused")
    assert done.returncode == 1 and "[no answer: the model's chat template does not render its prompt" in done.stderr


def test_a_checkpoint_is_converted_for_the_chat(make_spec: Callable[..., ChatSpec], tmp_path: Path) -> None:
    variables = make_spec().generation.variables
    plan = make_run(tmp_path / "here")
    write_rl_checkpoints(plan, "stage-one", [1])
    done = piped(plan.directory / "stage-one@1", variables, "hello|")
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    assert not list(plan.directory.glob(".chat*")), "the converted model is gone"
    assert json.loads((tmp_path / "here" / "check.json").read_text())["copy"] is False


def test_commands() -> None:
    talk = Conversation()
    assert talk.ask("one") == question("one")
    talk.add("first")
    assert run_command("/system be brief", talk) == "the system message is set"
    assert talk.ask("two")[0] == Message("system", "be brief")
    talk.drop_question()
    assert [each.content for each in talk.turns] == ["one", "first"]
    assert run_command("/system", talk) == "be brief"
    assert run_command("/clear", talk) == "the conversation begins again"
    assert talk.turns == [] and talk.system == "be brief"
    assert run_command("/quit", talk) is None
    assert "/clear" in (run_command("/help", talk) or "")
    assert (
        is_command("/clear")
        and is_command("/nonsense")
        and not is_command("/usr/bin/env")
        and not is_command(" /clear"[1:] + "/x")
    )
    assert not is_command("what is 1/2?") and not is_command("") and not is_command("/ x")


def decode(tokens: list[int]) -> str:
    return bytes(tokens).decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("text", "called", "shown"),
    [
        ("plain text", False, "plain text"),
        ("first <tool_call>{}</tool_call>", True, "first "),
        ("first <tool_call>{broken", False, "first <tool_call>{broken"),
        ("a < b and <b>", False, "a < b and <b>"),
        ("ends with <tool", False, "ends with <tool"),
        ("é", False, "é"),
    ],
)
def test_calls_are_not_shown_as_text(text: str, called: bool, shown: str) -> None:
    parts: list[str] = []
    turn = TurnText(decode, parts.append, "<tool_call>")
    tokens = list(text.encode())
    for count in range(1, len(tokens) + 1):
        turn.update(tokens[:count])
        assert "<tool_call>" not in "".join(parts) and "\ufffd" not in "".join(parts)
    turn.end(called=called)
    assert "".join(parts) == shown
    if len(text) > 5:
        assert len(parts) > 1, "it is shown while it is generated"
