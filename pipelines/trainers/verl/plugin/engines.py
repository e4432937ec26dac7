"""verl's FSDP engines for the device `cpu`, through its engine registry; nothing in them is bound to cuda or npu."""

from __future__ import annotations

from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl

_BACKENDS = ["fsdp", "fsdp2"]


class CpuEngineWithLanguageModelHead(transformer_impl.FSDPEngineWithLMHead):
    """The policy's and the reference model's engine."""


class CpuEngineWithValueHead(transformer_impl.FSDPEngineWithValueHead):
    """The critic's engine."""


def register() -> None:
    """Makes both known to verl."""
    EngineRegistry.register("language_model", _BACKENDS, "cpu")(CpuEngineWithLanguageModelHead)
    EngineRegistry.register("value_model", _BACKENDS, "cpu")(CpuEngineWithValueHead)
