"""Generate the responses of an evaluation: `python -m pipelines.evaluation.generator evaluation.json REPLICA`.

Runs in verl's environment. Appends responses to each set's generated.jsonl as they are finished; those that are there are not
generated again. Several replicas share the work: replica R of N generates every N-th response.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.evaluation.engine import Engine, engine_arguments
from pipelines.evaluation.prompts import PromptError, Prompts
from pipelines.evaluation.records import Appender, Generated, Problem, RecordError, read
from pipelines.evaluation.spec import SetSpec, Spec, SpecError
from pipelines.evaluation.spec import read as read_spec
from pipelines.evaluation.tool_loop import ToolLoop

_CONCURRENT = 512
"""Requests that wait in vLLM's engine, which decides how many it generates at once."""


@dataclass(frozen=True)
class Request:
    """One response to generate."""

    set: SetSpec
    problem: Problem
    sample: int


@dataclass(frozen=True)
class Prompt:
    """A request with the tokens of its prompt."""

    request: Request
    tokens: list[int]
    longest: int
    """Tokens that the response may have; below 1: the model is not asked."""


def find_requests(spec: Spec, folder: Path, replica: int = 0) -> list[Request]:
    """Return the responses that a replica has to generate.

    Raises:
        RecordError: A line of a file is not a record.
    """
    return [each for number, each in enumerate(_all(spec, folder)) if number % spec.generation.replicas == replica and each]


def _all(spec: Spec, folder: Path) -> Iterator[Request | None]:
    """Yield every response of the evaluation in a fixed order, None for those that are generated already."""
    for each in spec.sets:
        done = {(made.row, made.sample) for made in read(folder / each.name / "generated.jsonl", Generated)}
        for problem in read(folder / each.name / "problems.jsonl", Problem):
            for sample in range(each.samples):
                yield None if (problem.row, sample) in done else Request(each, problem, sample)


def sampling_parameters(request: Request, seed: int) -> dict[str, Any]:
    """Return parameters of vLLM's `SamplingParams`. The seed depends on the response only, not on what was generated before."""
    if request.set.temperature == 0:
        return {"temperature": 0.0}
    name = f"{seed}/{request.set.name}/{request.problem.row}/{request.sample}"
    own = int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:4], "big")
    return {"temperature": request.set.temperature, "top_p": request.set.top_p, "seed": own}


class Writer:
    """Appends responses to the files of their sets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Appender] = {}

    def write(self, request: Request, record: Generated) -> None:
        """Append one response."""
        name = request.set.name
        if name not in self._files:
            self._files[name] = Appender(self._folder / name / "generated.jsonl")
        self._files[name].append(record)

    def close(self) -> None:
        """Flush and close the files."""
        for file in self._files.values():
            file.close()


async def _generate(spec: Spec, prompts: Sequence[Prompt], renderer: Prompts, writer: Writer) -> None:
    """Generate all responses and write each when it is finished."""
    asked = [each for each in prompts if each.longest > 0]
    for prompt in prompts:
        if prompt.longest < 1:
            writer.write(prompt.request, _record(prompt, "", 0, "length"))
    if not asked:
        return
    longest = max(len(each.tokens) + each.longest for each in asked)
    engine, given = Engine(engine_arguments(spec.model, spec.generation, longest)), spec.generation
    loop = None
    if given.tool is not None:
        loop = ToolLoop(given.tool, engine, renderer.tokenizer, renderer.model_type, given.template, given.seed)
    waiting = iter(asked)

    async def work() -> None:
        for prompt in waiting:
            writer.write(prompt.request, await _respond(prompt, spec, engine, loop, renderer))

    async def work_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_CONCURRENT, len(asked))):
                    group.create_task(work())
        except* Exception as errors:
            raise errors.exceptions[0] from None

    server, workers = asyncio.create_task(engine.serve()), asyncio.create_task(work_all())
    done, others = await asyncio.wait([server, workers], return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    for task in (workers, server):  # an error of a response may have ended the server
        if task in done:
            task.result()


async def _respond(prompt: Prompt, spec: Spec, engine: Engine, loop: ToolLoop | None, renderer: Prompts) -> Generated:
    request = prompt.request
    parameters = sampling_parameters(request, spec.generation.seed)
    if loop is None:
        made = await engine.generate(prompt.tokens, {**parameters, "max_tokens": prompt.longest})
        return _record(prompt, renderer.decode(made.tokens), len(made.tokens), made.finish)
    parameters.pop("seed", None)
    digest = hashlib.sha256(f"{request.set.name}/{request.problem.row}".encode("utf-8", "replace")).digest()
    row = int.from_bytes(digest[:4], "big")
    messages = renderer.messages(request.problem)
    talk = await loop.respond(messages, parameters, prompt.longest, row, request.sample)
    text = renderer.decode(talk.tokens)
    return _record(prompt, text, talk.written, talk.finish, calls=talk.usage["calls"], usage=talk.usage)


def _record(prompt: Prompt, text: str, tokens: int, finish: str, **more: Any) -> Generated:
    request = prompt.request
    # JSON has no lone surrogates.
    valid = text.encode("utf-8", "replace").decode()
    count = len(prompt.tokens)
    return Generated(request.problem.row, request.sample, valid, tokens, finish, prompt_tokens=count, **more)


def _render(requests: Sequence[Request], renderer: Prompts) -> list[Prompt]:
    """Return the requests with the tokens of their prompts; the samples of a problem share them."""
    prompts: list[Prompt] = []
    before: tuple[Problem, list[int]] | None = None
    for request in requests:
        if before is None or before[0] is not request.problem:
            before = request.problem, renderer.encode(request.problem, request.set.name)
        tokens = before[1]
        longest = min(request.set.max_tokens, renderer.positions - len(tokens))
        prompts.append(Prompt(request, tokens, 0 if len(tokens) > request.set.max_prompt_tokens else longest))
    return prompts


def generate(spec: Spec, folder: Path, replica: int) -> None:
    """Generate the missing responses of a replica."""
    requests = find_requests(spec, folder, replica)
    if not requests:
        return
    renderer = Prompts(spec.model, spec.generation)
    writer = Writer(folder)
    try:
        asyncio.run(_generate(spec, _render(requests, renderer), renderer, writer))
    finally:
        writer.close()
        if spec.generation.tool is not None:
            from rewards import sandbox

            sandbox.close_all()


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    try:
        generate(read_spec(Path(arguments[0])), Path(arguments[0]).parent, int(arguments[1]))
    except (SpecError, RecordError, PromptError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None and error.strerror is None:
            raise
        print(f"error: {error.filename or arguments[0]}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
