"""evaluation.json: what an evaluation generates and scores.

Read in verl's environment, too: the standard library and msgspec only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from preprocess import atomic

FILE = "evaluation.json"
"""The file of a spec in the folder of its evaluation."""

SUMMARY = "summary.json"
"""The file with its results, in the same folder."""

VERSION = 1


class SpecError(ValueError):
    """A file is not a spec of this version; one line."""


class SetSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation set and how its responses are sampled."""

    name: str
    definition: dict[str, Any]
    """The resolved set file."""
    rewards: tuple[dict[str, Any], ...]
    """As in a recipe: name, options, weight, data_source, file."""
    samples: int = 1
    """Responses per problem."""
    temperature: float = 0.0
    """0: greedy."""
    top_p: float = 1.0
    max_prompt_tokens: int = 2048
    """Longest prompt; the model is not asked longer ones, and their responses are empty."""
    max_tokens: int = 2048
    """Longest response; with a tool, all turns and replies together."""
    metric: str | None = None
    """The figure by which models are compared; None: the first."""
    limit: int | None = None
    """Number of problems, the first ones; None: all."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """The interpreter, as verl's tool loop gets it."""

    multi_turn: dict[str, Any]
    """verl's `actor_rollout_ref.rollout.multi_turn`."""
    config: dict[str, Any]
    """The configuration of the tool's class."""


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """How responses are generated."""

    python: str
    """The Python of verl's environment."""
    variables: dict[str, str]
    """Environment variables of the generating and scoring processes."""
    platform: Literal["cpu", "cuda"]
    tensor_parallel: int = 1
    replicas: int = 1
    """Copies of the model, each on `tensor_parallel` GPUs."""
    gpu_memory: float = 0.9
    """Share of a GPU's memory for vLLM."""
    seed: int = 17
    template: dict[str, Any] = {}
    """Variables of the chat template, such as `enable_thinking`."""
    engine: dict[str, Any] = {}
    """Further arguments of vLLM's engine."""
    tool: Tool | None = None


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """The command that converts a checkpoint into a model folder."""

    argv: tuple[str, ...]
    variables: dict[str, str]
    files: dict[str, str]
    """Configuration files in the command's folder: name -> text."""
    checkpoint: str
    """The checkpoint, which the command finds as `checkpoint` in its folder."""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation of one model."""

    target: str
    """The target as the user wrote it."""
    label: str
    """A short name of the model: a stage, `stage@step`, or the model's name."""
    model: str
    """A folder or a hub name."""
    generation: Generation
    sets: tuple[SetSpec, ...]
    sandbox: dict[str, Any] = {}
    """The recipe's `sandbox`."""
    export: Export | None = None
    """How `model` is made; None: it exists."""
    version: int = VERSION


def read(path: Path) -> Spec:
    """Read a spec.

    Raises:
        SpecError: The file cannot be read or is not a spec of this version.
    """
    try:
        spec = msgspec.json.decode(path.read_bytes(), type=Spec)
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise SpecError(f"{path} is not an evaluation: {error}") from None
    if spec.version != VERSION:
        raise SpecError(f"{path} has version {spec.version}; this version of the project reads {VERSION}")
    return spec


def dump(spec: Spec) -> str:
    """Return the text of a spec's file."""
    return msgspec.json.format(msgspec.json.encode(spec), indent=1).decode() + "\n"


def write(spec: Spec, path: Path) -> None:
    """Write a spec.

    Raises:
        OSError: The file cannot be written.
    """
    atomic.write_text(path, dump(spec))
