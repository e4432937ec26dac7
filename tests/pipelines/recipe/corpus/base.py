"""The right recipe that the wrong ones change, and how a change is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import indent

BASE = """\
name: base
model: {make: qwen2, vocabulary: 1024, hidden_size: 64, layers: 2, heads: 2, max_tokens: 1024}
hardware: {platform: cpu}
stages:
  - name: sft
    kind: sft
    data:
      train: {converter: sharegpt, source: chat.jsonl}
      validation: {fraction: 0.1}
    epochs: 2
    learning_rate: 1.0e-5
    save_every: 10
  - name: second
    kind: sft
    trainer: verl
    data:
      train: {converter: sharegpt, source: chat.jsonl}
      validation: {fraction: 0.1}
    steps: 20
    learning_rate: 1.0e-5
  - name: rl
    kind: rl
    algorithm: grpo
    data:
      train: {converter: kodcode, source: problems.jsonl}
      validation: {fraction: 0.1}
    reward: code_tests
    steps: 20
    learning_rate: 1.0e-6
    batch: {prompts: 8, mini: 8, micro_per_gpu: 8}
    rollout: {samples: 4, max_prompt_tokens: 256, max_response_tokens: 256}
    validate_every: 5
"""

FILES = {"base.yaml": BASE, "chat.jsonl": "", "problems.jsonl": "", "notes.txt": "notes", "data/part.jsonl": ""}
"""The files of the folder in which a wrong recipe is planned."""


@dataclass(frozen=True)
class Wrong:
    """A wrong recipe."""

    name: str
    text: str
    """The text of x.yaml."""
    expected: str
    """A part of the refusal."""
    sets: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def outside(*pairs: tuple[str, str]) -> list[Wrong]:
    """Return the wrong recipes of changes outside the stages: YAML and what is expected."""
    return [Wrong(change, f"extends: base.yaml\n{change}\n", expected) for change, expected in pairs]


def stage(name: str, *pairs: tuple[str, str]) -> list[Wrong]:
    """Return the wrong recipes of changes of a stage; `key!: value` replaces the value instead of merging it."""
    found = []
    for change, expected in pairs:
        text = change.replace("!: ", ": !replace ", 1) if "!: " in change else change
        found.append(
            Wrong(f"{name}: {change}", f"extends: base.yaml\nstages:\n- name: {name}\n{indent(text, '  ')}\n", expected)
        )
    return found


def section(name: str, key: str, *pairs: tuple[str, str]) -> list[Wrong]:
    """Return the wrong recipes of the entries of a mapping of a stage, such as its upstream keys."""
    return stage(name, *((f"{key}: {{{change}}}", expected) for change, expected in pairs))
