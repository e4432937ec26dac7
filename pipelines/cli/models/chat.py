"""`pipeline chat`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pipelines.cli.common import ensure_environment
from pipelines.cli.evaluate import ensure_generator
from pipelines.console.progress import Progress
from pipelines.evaluation.finding import find_target
from pipelines.evaluation.model import check_model
from pipelines.evaluation.rendering import Options, find_rl_stage, make_generation
from pipelines.evaluation.target import Target
from pipelines.results.chat.connection import Connection
from pipelines.results.chat.spec import ChatSpec
from pipelines.results.chat.terminal import read_question, run_chat
from pipelines.results.exporting import working_folder
from pipelines.run.export import Trained, export_model
from pipelines.run.machine import find_environments
from pipelines.run.process import signals_as_stopped

_MAX_TOKENS = 1024
"""Longest answer of a model without an RL stage."""


def chat(text: str, temperature: float, max_tokens: int | None, *, tool: bool) -> None:
    """Talk with a model."""
    target = find_target(text)
    with _ends_on_signals(), _find_model(target) as model:
        check_model(model)
        stage = find_rl_stage(target)
        generation = make_generation(target, model, Options(tool=tool))
        ensure_generator(generation)
        longest = max_tokens or (stage.rollout.max_response_tokens if stage else _MAX_TOKENS)
        question = read_question()
        with Connection(
            ChatSpec(model=model, generation=generation, max_tokens=longest, temperature=temperature)
        ) as connection:
            try:
                run_chat(connection, target.text, question)
            except KeyboardInterrupt:
                raise SystemExit(128 + signal.SIGINT) from None


@contextmanager
def _find_model(target: Target) -> Iterator[str]:
    """Yield the model's folder or hub name; a checkpoint that must be converted is exported for the chat."""
    if target.checkpoint is None:
        yield target.model
        return
    assert target.plan is not None and target.stage is not None
    ensure_environment(find_environments(target.plan.recipe)[target.stage.trainer])
    trained = Trained(target.plan, target.stage, int(target.label.rpartition("@")[2]), target.checkpoint)
    with working_folder(target.plan.directory / "chat") as work:
        display = Progress(sys.stderr, heartbeat=15.0)
        try:
            with signals_as_stopped():
                model = export_model(trained, work, display, copy=False)
        finally:
            display.close()
        yield str(model)


@contextmanager
def _ends_on_signals() -> Iterator[None]:
    """End in order, the model's process first, on SIGTERM and when the terminal closes."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
