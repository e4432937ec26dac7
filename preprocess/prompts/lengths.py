"""How many tokens prompts have: `python -m preprocess.prompts.lengths CONFIG.json`, in a trainer's environment.

Renders every prompt with the chat template of the model that it is for, before anything is trained: verl drops a prompt
that does not render, or is too long, with no more than a line in its log, and a conversation that is too long is cut.
Writes each stage's lengths to a file, and what a person should know to notes.json beside the configuration.

An rl prompt has exactly the tokens that verl gives it, and so has a conversation that verl trains on. One that LLaMA-Factory
trains on is counted by the same template, though it renders by its own of the name that the stage says: the count may be off
by a few tokens a turn.
"""

from __future__ import annotations

import json
import sys
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from preprocess import atomic
from preprocess.prompts.counting import SHOWN, Lengths, PromptError, Stage, measure

_FATE = {"rl": "verl leaves them out", "sft": "they are cut"}


def report(stage: Stage, found: Mapping[str, Lengths]) -> list[str]:
    """Prints the lengths and writes them to the stage's file; what a person should know, a line each.

    Raises:
        PromptError: too many are too long.
    """
    summaries = {split: lengths.summarise() for split, lengths in found.items()}
    about = {"shape": stage.shape, "model": stage.model, "limit": stage.limit, "files": summaries}
    _write(Path(stage.output), about)
    things = "prompts" if stage.shape == "rl" else "conversations"
    notes = (
        []
        if found
        else [f"{stage.name}: its prompts were not counted: {stage.model} has no chat template before it is trained"]
    )
    for split, summary in summaries.items():
        print(
            f"{stage.name} {split}: {summary['rows']:,} {things} of {summary['mean']:g} tokens on average; median "
            f"{summary['median']:,}, 95th percentile {summary['percentile_95']:,}, longest {summary['longest']:,}"
        )
        if over := summary["over"]:
            which = ", ".join(summary["first_over"]) + (", …" if over > SHOWN else "")
            said = (
                f"{stage.name} {split}: {over:,} of {summary['rows']:,} {things} are longer than {stage.limit:,} tokens; "
                f"{_FATE[stage.shape]}: {which}"
            )
            if over == summary["rows"] or over > stage.max_overlong * summary["rows"]:
                raise PromptError(f"{said}; more than max_overlong {stage.max_overlong:g} allows")
            notes.append(said)
        if unrendered := found[split].unrendered:
            notes.append(
                f"{stage.name} {split}: {len(unrendered):,} {things} do not render with the model's own chat template, "
                f"and are counted without it; first {unrendered[0]}"
            )
    notes += _compare_tools(stage, found)
    for note in notes:
        print(note)
    return notes


def _compare_tools(stage: Stage, found: Mapping[str, Lengths]) -> list[str]:
    """Where the rows' tools are not the stage's."""
    named = sum((lengths.named for lengths in found.values()), Tally[str]())
    lacking = [
        f"{stage.name}: {count:,} prompts name the tool {name}, which the stage does not say: no model is shown it"
        for name, count in named.items()
        if name not in stage.tools
    ]
    unused = [name for name in stage.tools if found and name not in named]
    return lacking + [f"{stage.name}: no prompt names the tool {name}: no model is shown it" for name in unused]


def _write(path: Path, value: Any) -> None:
    atomic.write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit status."""
    if len(arguments) != 1:
        print("usage: python -m preprocess.prompts.lengths CONFIG.json", file=sys.stderr)
        return 2
    config = Path(arguments[0])
    stages = [Stage(**each) for each in json.loads(config.read_text(encoding="utf-8"))["stages"]]
    notes = []
    try:
        for stage in stages:
            notes += report(stage, measure(stage))
    except (PromptError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    _write(config.with_name("notes.json"), notes)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
