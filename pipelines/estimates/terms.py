"""The terms of an estimate: what takes memory, how much, and the key of the recipe that lowers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """One of the things that take memory."""

    name: str
    bytes: int
    lower: str = ""
    """How the recipe lowers it; empty: it cannot."""


@dataclass(frozen=True)
class Phase:
    """Terms that exist at the same time."""

    name: str
    terms: tuple[Term, ...]

    @property
    def bytes(self) -> int:
        """The sum of the terms."""
        return sum(term.bytes for term in self.terms)

    @property
    def largest(self) -> Term:
        """The largest term."""
        return max(self.terms, key=lambda term: term.bytes)


def make_phase(name: str, *groups: Sequence[Term]) -> Phase:
    """Return a phase of the terms that are not empty."""
    return Phase(name, tuple(term for group in groups for term in group if term.bytes > 0))


@dataclass(frozen=True)
class Memory:
    """The memory that a stage needs."""

    gpu: tuple[Phase, ...]
    """Phases on the GPU that needs the most; empty on a CPU."""
    host: Phase
    """At the peak, on the machine that needs the most."""
    notes: tuple[str, ...] = ()
    """What was assumed."""

    @property
    def peak(self) -> Phase:
        """The phase that needs the most memory: of a GPU, or of the machine if it has no GPU."""
        return max(self.gpu, key=lambda phase: phase.bytes, default=self.host)
