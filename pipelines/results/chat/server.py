"""Answer the questions of a chat: `python -m pipelines.results.chat.server FOLDER/chat.json`, in verl's environment."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipelines.evaluation.engine import Engine, engine_arguments
from pipelines.evaluation.prompts import PromptError, Prompts, adapt_messages
from pipelines.evaluation.spec import Tool
from pipelines.evaluation.tool_loop import ToolLoop
from pipelines.results.chat.spec import SOCKET, Ask, Call, ChatSpec, Done, Event, Failed, Finish, Ready, Reply, Request, Text
from pipelines.results.chat.streaming import WatchedEngine

_CONTEXT = 8192
"""Tokens of the longest conversation for which memory is reserved, unless one answer may be longer."""
_LINE_BYTES = 1 << 26
"""Longest request."""

_FINISHES: dict[str, Finish] = {"length": "length", "turns": "turns"}

Send = Callable[[Event], None]


class Chat:
    """Answers one question at a time.

    Args:
        spec: What is served.
        send: Sends an event to the terminal.
    """

    def __init__(self, spec: ChatSpec, send: Send) -> None:
        self._spec, self._send = spec, send
        given = spec.generation
        self._prompts = Prompts(spec.model, given)
        self.positions = min(self._prompts.positions, max(_CONTEXT, 2 * spec.max_tokens))
        self.engine = Engine(engine_arguments(spec.model, given, self.positions) | {"max_num_seqs": 1})
        self._watched = WatchedEngine(self.engine, self._prompts.decode, _find_opening(given.tool) if given.tool else None)
        self._number = 0
        self._shown: list[str] = []
        self._loop: ToolLoop | None = None
        if given.tool is not None:
            tokenizer, kind = self._prompts.tokenizer, self._prompts.model_type
            self._loop = ToolLoop(given.tool, self._watched, tokenizer, kind, given.template, given.seed, self._make_tool)

    async def answer(self, request: Ask) -> None:
        """Answer a question; whatever goes wrong is an event."""
        self._number += 1
        self._shown = []
        self._watched.show_with(self._show)
        messages = [{"role": each.role, "content": each.content} for each in request.messages]
        messages = adapt_messages(messages, tool=self._loop is not None)
        try:
            tokens = self._prompts.render(messages)
            longest = min(self._spec.max_tokens, self.positions - len(tokens))
            if longest < 1:
                reason = (
                    f"the conversation has {len(tokens):,} tokens, and the model reads {self.positions:,}; /clear starts again"
                )
                self._send(Failed(reason))
                return
            self._send(await self._respond(messages, tokens, longest))
        except asyncio.CancelledError:
            self._watched.end_turn(called=False)
            self._send(Done("".join(self._shown), "stopped", 0))
        except PromptError as error:
            self._send(Failed(str(error)))
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            self._send(Failed(f"{type(error).__name__}: {reason}"))

    async def _respond(self, messages: Sequence[dict[str, str]], tokens: list[int], longest: int) -> Done:
        parameters: dict[str, Any] = {"temperature": self._spec.temperature}
        if self._loop is None:
            if self._spec.temperature:
                parameters["seed"] = self._spec.generation.seed + self._number
            made = await self._watched.generate(tokens, {**parameters, "max_tokens": longest})
            self._watched.end_turn(called=False)
            return Done(self._prompts.decode(made.tokens), _FINISHES.get(made.finish, "stop"), len(made.tokens))
        talk = await self._loop.respond(messages, parameters, longest, self._number, 0)
        self._watched.end_turn(called=False)
        # With the calls and replies in the format of the chat template, which renders the text between its own marks.
        tokenizer = self._prompts.tokenizer
        content = str(tokenizer.decode(talk.tokens)).removesuffix(str(tokenizer.eos_token or ""))
        return Done(content, _FINISHES.get(talk.finish, "stop"), talk.written)

    def _show(self, text: str) -> None:
        self._shown.append(text)
        self._send(Text(text))

    def _make_tool(self, config: dict[str, Any]) -> Any:
        """Return the interpreter of training, which also shows its calls."""
        from pipelines.trainers.verl.plugin.interpreter import Interpreter
        from rewards.builtin.interpreter_tool import ARGUMENT

        chat = self

        class ShownInterpreter(Interpreter):
            async def execute(self, instance_id: str, parameters: Any, **kwargs: Any) -> tuple[Any, float, dict[str, Any]]:
                chat._watched.end_turn(called=True)
                code = parameters.get(ARGUMENT) if isinstance(parameters, dict) else None
                chat._send(Call(code if isinstance(code, str) else msgspec.json.encode(parameters).decode()))
                response, reward, outcome = await super().execute(instance_id, parameters, **kwargs)
                chat._send(Reply(str(response.text)))
                return response, reward, outcome

        return ShownInterpreter(config)


def _find_opening(tool: Tool) -> str | None:
    """Return the first characters of a call in the tool's format."""
    from pipelines.trainers.verl.plugin.tool_usage import OPENINGS

    return OPENINGS.get(str(tool.multi_turn.get("format")))


async def serve(spec: ChatSpec, socket: Path) -> None:
    """Load the model and answer until the terminal closes the socket."""
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=_LINE_BYTES)
    encode = msgspec.json.Encoder().encode

    def send(event: Event) -> None:
        if not writer.is_closing():
            writer.write(_without_surrogates(encode, event) + b"\n")

    chat = Chat(spec, send)
    server = asyncio.create_task(chat.engine.serve())
    send(Ready(chat.positions))
    requests = asyncio.create_task(_read(reader, chat, send))
    try:
        done, _ = await asyncio.wait([requests, server], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        requests.cancel()
        server.cancel()


async def _read(reader: asyncio.StreamReader, chat: Chat, send: Send) -> None:
    """Read requests until the terminal closes the socket."""
    answering: asyncio.Task[None] | None = None
    while line := await reader.readline():
        request: Request = msgspec.json.decode(line, type=Request)
        if isinstance(request, Ask):
            answering = asyncio.create_task(chat.answer(request))
            # One that is cancelled before it begins cannot report it.
            answering.add_done_callback(lambda task: send(Done("", "stopped", 0)) if task.cancelled() else None)
        elif answering is not None:
            answering.cancel()


def _without_surrogates(encode: Callable[[Any], bytes], event: Event) -> bytes:
    """Return an event as JSON, which has no lone surrogates."""
    try:
        return encode(event)
    except UnicodeEncodeError:
        values = {key: _valid(value) for key, value in msgspec.structs.asdict(event).items()}
        return encode(type(event)(**values))


def _valid(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    path = Path(arguments[0])
    spec = msgspec.json.decode(path.read_bytes(), type=ChatSpec)
    try:
        asyncio.run(serve(spec, path.with_name(SOCKET)))
    except PromptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    finally:
        if spec.generation.tool is not None:
            from rewards import sandbox

            sandbox.close_all()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
