"""verl's FSDP engines for the device `cpu`, through its engine registry; their code is independent of the device."""

from __future__ import annotations

from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl

_BACKENDS = ["fsdp", "fsdp2"]


class CpuEngineWithLanguageModelHead(transformer_impl.FSDPEngineWithLMHead):
    """The engine of the policy and the reference model."""


class CpuEngineWithValueHead(transformer_impl.FSDPEngineWithValueHead):
    """The engine of the critic."""


def register() -> None:
    """Register both."""
    EngineRegistry.register("language_model", _BACKENDS, "cpu")(CpuEngineWithLanguageModelHead)
    EngineRegistry.register("value_model", _BACKENDS, "cpu")(CpuEngineWithValueHead)
