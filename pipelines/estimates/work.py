"""The steps, tokens, time and cost of a stage."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipelines.recipe.schema import Hardware, RlStage, SftStage


@dataclass(frozen=True)
class Lengths:
    """Tokens of a stage's rows, as far as they are known; otherwise the recipe's limits are assumed."""

    row: int | None = None
    """Of a conversation, or of a prompt."""
    response: int | None = None
    """Of a response."""


@dataclass(frozen=True)
class Work:
    """What a stage does."""

    steps: int | None
    """None: given in epochs, and the rows are not counted yet."""
    rows: int
    """Conversations or responses of a step."""
    tokens: int
    """Tokens of a step."""
    devices: int
    throughput: float | None
    """Tokens per second and device, over whole steps: with generation, rewards and update."""

    @property
    def step_seconds(self) -> float | None:
        """Wall time of a step."""
        return self.tokens / (self.throughput * self.devices) if self.throughput else None

    @property
    def hours(self) -> float | None:
        """Wall time of all steps."""
        seconds = self.step_seconds
        return None if seconds is None or self.steps is None else seconds * self.steps / 3600

    def cost(self, price: float) -> float | None:
        """Return the cost of the stage.

        Args:
            price: of a device for an hour.
        """
        return None if self.hours is None else self.hours * self.devices * price


def estimate_work(
    stage: SftStage | RlStage, hardware: Hardware, rows: int | None, lengths: Lengths, throughput: float | None = None
) -> Work:
    """Estimate the work of a stage.

    Args:
        rows: training rows; None: unknown.
        lengths: of the rows, if they are known.
        throughput: tokens per second and device; None: unknown.
    """
    devices = hardware.nodes * hardware.gpus_per_node
    if isinstance(stage, SftStage):
        batch = stage.batch.per_device * stage.batch.accumulate * devices
        row = stage.max_tokens if stage.packing or lengths.row is None else min(lengths.row, stage.max_tokens)
        return Work(_steps(stage, rows, batch), batch, batch * row, devices, throughput)
    responses = stage.batch.prompts * stage.rollout.samples
    prompt = min(lengths.row or stage.rollout.max_prompt_tokens, stage.rollout.max_prompt_tokens)
    response = min(lengths.response or stage.rollout.max_response_tokens, stage.rollout.max_response_tokens)
    steps = _steps(stage, rows, stage.batch.prompts)
    return Work(steps, responses, responses * (prompt + response), devices, throughput)


def _steps(stage: SftStage | RlStage, rows: int | None, batch: int) -> int | None:
    if stage.steps is not None:
        return stage.steps
    assert stage.epochs is not None
    # verl drops the incomplete last batch of an epoch, LLaMA-Factory trains on it.
    whole = math.ceil if stage.trainer == "llamafactory" else math.floor
    return None if rows is None else max(1, round(stage.epochs * whole(rows / batch)))
