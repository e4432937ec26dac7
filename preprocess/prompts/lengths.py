"""`python -m preprocess.prompts.lengths CONFIG.json`: count the tokens of prompts, in a trainer's environment.

Renders every prompt with its model's chat template before any training: verl drops a prompt that does not render or is too
long with only a line in its log, and truncates conversations that are too long. Writes each stage's lengths to a file, and
notes for the user to notes.json next to the configuration.

An rl prompt has exactly the tokens that verl gives it, and so has a conversation that verl trains on. LLaMA-Factory renders
conversations with its own template of the stage's `template`; their count may be off by a few tokens per turn.
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
from preprocess.prompts.fitting import LIST, write_fitting
from preprocess.prompts.torchless import hide_torch

_OUTCOMES = {
    ("sft", "cut"): "they are truncated",
    ("sft", "leave_out"): "they are left out",
    ("rl", "cut"): "verl truncates their beginnings",
    ("rl", "leave_out"): "verl leaves them out",
}


def report(stage: Stage, found: Mapping[str, Lengths]) -> list[str]:
    """Print the lengths and write them to the stage's file; return notes for the user.

    Raises:
        PromptError: Too many are too long.
    """
    summaries = {split: lengths.summarise() for split, lengths in found.items()}
    outcome = stage.outcome
    told = {"shape": stage.shape, "model": stage.model, "limit": stage.limit, "overlong": outcome, "files": summaries}
    _write(Path(stage.output), told)
    longest = max((summary["longest"] for summary in summaries.values()), default=0)
    things = "prompts" if stage.shape == "rl" else "conversations"
    notes = []
    if not found and stage.overlong in ("leave_out", "error"):
        reason = f"{stage.model} has no chat template before it is trained, so rows cannot be counted"
        raise PromptError(f"{stage.name}: {reason}; set data.overlong to cut")
    if not found:
        notes.append(f"{stage.name}: its prompts were not counted: {stage.model} has no chat template before it is trained")
    for split, summary in summaries.items():
        print(
            f"{stage.name} {split}: {summary['rows']:,} {things} of {summary['mean']:g} tokens on average; median "
            f"{summary['median']:,}, 95th percentile {summary['percentile_95']:,}, longest {summary['longest']:,}"
        )
        if over := summary["over"]:
            which = ", ".join(summary["first_over"]) + (", …" if over > SHOWN else "")
            note = f"{stage.name} {split}: {over:,} of {summary['rows']:,} {things} are longer than {stage.limit:,} tokens"
            if outcome == "error":
                fix = f"set data.overlong to cut or leave_out, or the limit to {longest:,}"
                raise PromptError(f"{note}, and data.overlong is error: {which}; {fix}")
            note += f"; {_OUTCOMES[stage.shape, outcome]}: {which}"
            if over == summary["rows"] or over > stage.max_overlong * summary["rows"]:
                raise PromptError(f"{note}; more than max_overlong {stage.max_overlong:g} allows")
            notes.append(note + (f"; listed in {Path(stage.fitting, LIST)}" if stage.fitting else ""))
        if unrendered := found[split].unrendered:
            notes.append(
                f"{stage.name} {split}: {len(unrendered):,} {things} do not render with the model's own chat template, "
                f"and are counted without it; first {unrendered[0]}"
            )
    if stage.fitting is not None and stage.limit is not None:
        tokens = {split: lengths.tokens for split, lengths in found.items()}
        write_fitting(stage.files, tokens, stage.limit, Path(stage.fitting))
    notes += _compare_tools(stage, found)
    for note in notes:
        print(note)
    return notes


def _compare_tools(stage: Stage, found: Mapping[str, Lengths]) -> list[str]:
    """Return notes where the rows' tools differ from the stage's."""
    named = sum((lengths.named for lengths in found.values()), Tally[str]())
    missing = [
        f"{stage.name}: {count:,} prompts name the tool {name}, which the stage does not have: no model sees it"
        for name, count in named.items()
        if name not in stage.tools
    ]
    unused = [name for name in stage.tools if found and name not in named]
    return missing + [f"{stage.name}: no prompt names the tool {name}: no model sees it" for name in unused]


def _write(path: Path, value: Any) -> None:
    atomic.write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
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
    hide_torch()
    sys.exit(main(sys.argv[1:]))
