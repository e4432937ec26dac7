"""Count the tokens of prompts with their model's chat template.

Runs in a trainer's environment: it needs pyarrow and transformers.
"""

from __future__ import annotations

import multiprocessing
import os
from array import array
from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from preprocess.lifetime import end_with
from preprocess.prompts.rendering import ConversationError, first_line, render_texts, to_messages, to_tools

SHOWN = 5
"""Rows named in a message about many."""

_BATCH = 256
_ROWS_FOR_PROCESSES = 20_000


class PromptError(Exception):
    """The prompts cannot be trained on; the message is one line for the user."""


@dataclass(frozen=True)
class Stage:
    """A stage's files of rows and its model."""

    name: str
    shape: Literal["sft", "rl"]
    model: str
    """A folder or hub name with the tokenizer and its chat template."""
    files: Mapping[str, str]
    """train and validation -> parquet file."""
    output: str
    """The file to write."""
    limit: int | None = None
    """Most tokens of a prompt (rl) or a conversation (sft)."""
    max_overlong: float = 1.0
    """Share of a file's prompts that may be longer."""
    overlong: Literal["cut", "leave_out", "error"] | None = None
    """Handling of those that are longer; None: conversations are cut, prompts left out."""
    fitting: str | None = None
    """The folder to write for the rows that are not longer; None: the trainer leaves out the others."""
    tools: Mapping[str, Any] = field(default_factory=dict)
    """Tool -> its schema, as rows name the tools in extra_info.tool_selection."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the chat template, such as `enable_thinking`, with which the trainer renders rows."""
    by_turns: bool = False
    """Train on conversations turn by turn, with the tokenizer's own chat template, which must render them."""
    taught: bool = False
    """An earlier sft stage adds a chat template to a model without one."""

    @property
    def outcome(self) -> Literal["cut", "leave_out", "error"]:
        """What happens to rows that are longer than the limit."""
        return self.overlong or ("leave_out" if self.shape == "rl" else "cut")


@dataclass
class Lengths:
    """The counts of one file."""

    tokens: array[int] = field(default_factory=lambda: array("L"))
    over: list[str] = field(default_factory=list)
    """Rows longer than the limit."""
    unrendered: list[str] = field(default_factory=list)
    """Conversations that the chat template refuses, with its message; counted without it."""
    named: Tally[str] = field(default_factory=Tally)
    """Tool -> number of prompts that name it."""

    def summarise(self) -> dict[str, Any]:
        """Return the summary in the stage's file."""
        ordered = sorted(self.tokens)
        count = len(ordered)
        return {
            "rows": count,
            "mean": round(sum(ordered) / count, 1) if count else 0,
            "median": ordered[count // 2] if count else 0,
            "percentile_95": ordered[min(count - 1, count * 95 // 100)] if count else 0,
            "longest": ordered[-1] if count else 0,
            "over": len(self.over),
            "first_over": self.over[:SHOWN],
            "unrendered": len(self.unrendered),
        }


class Counter:
    """Counts the tokens of a stage's rows."""

    def __init__(self, stage: Stage) -> None:
        from transformers import AutoTokenizer

        self.stage = stage
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(stage.model)
        except Exception as error:
            raise PromptError(f"{stage.name}: the tokenizer of {stage.model} does not load: {first_line(error)}") from error

    @property
    def needs_template(self) -> bool:
        """Whether training requires a chat template."""
        return self.stage.shape == "rl" or self.stage.by_turns

    def count(self, path: str, group: int) -> Lengths:
        """Count the rows of one row group.

        Raises:
            PromptError: A prompt does not render.
        """
        import pyarrow.parquet as pq

        found = Lengths()
        with pq.ParquetFile(path) as file:
            first = sum(file.metadata.row_group(number).num_rows for number in range(group))
            for batch in file.iter_batches(_BATCH, row_groups=[group], use_threads=False):
                rows = batch.to_pylist()
                names = [(row.get("extra_info") or {}).get("id") or f"row {place}" for place, row in enumerate(rows, first)]
                first += len(rows)
                lengths = self._count_rows(rows, names, found)
                found.tokens.extend(lengths)
                if self.stage.limit is not None:
                    found.over += [name for name, length in zip(names, lengths, strict=True) if length > self.stage.limit]
        return found

    def _count_rows(self, rows: Sequence[Mapping[str, Any]], names: Sequence[str], found: Lengths) -> list[int]:
        render = self._render_turns if self.stage.shape == "sft" else self._render
        texts = [render(row, name, found) for row, name in zip(rows, names, strict=True)]
        whole = [text for each in texts for text in each]
        tokens = self.tokenizer(whole, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        lengths = map(len, tokens)
        return [sum(islice(lengths, len(each))) for each in texts]

    def _render_turns(self, row: Mapping[str, Any], name: str, found: Lengths) -> list[str]:
        """Return a conversation as it is trained on, with both trainers: no token spans a prompt and its answer."""
        try:
            return [text for pair in render_texts(self.tokenizer, row, **self.stage.arguments) for text in pair]
        except ConversationError as error:
            if self.stage.by_turns:
                raise PromptError(
                    f"{self.stage.name}: {name} cannot be trained on by verl: {error}; `trainer: llamafactory` has templates"
                ) from error
        return self._render(row, name, found)

    def _render(self, row: Mapping[str, Any], name: str, found: Lengths) -> list[str]:
        rl = self.stage.shape == "rl"
        try:
            messages = row["prompt"] if rl else to_messages(row)
            tools = self._select_tools(row, found) if rl else to_tools(row)
            text: str = self.tokenizer.apply_chat_template(
                messages, tools=tools, tokenize=False, add_generation_prompt=rl, **self.stage.arguments
            )
        except Exception as error:
            if rl:
                raise PromptError(f"{self.stage.name}: the prompt of {name} does not render: {first_line(error)}") from error
            found.unrendered.append(f"{name}: {first_line(error)}")
            return ["\n".join(turn["value"] for turn in row["conversations"])]
        return [text]

    def _select_tools(self, row: Mapping[str, Any], found: Lengths) -> list[Any] | None:
        found.named.update((row.get("extra_info") or {}).get("tool_selection") or [])
        # verl's filter of overlong prompts counts each with all tools (utils/dataset/rl_dataset.py, v0.9.1).
        return list(self.stage.tools.values()) or None


def measure(stage: Stage) -> dict[str, Lengths]:
    """Count all rows of a stage, by file; large files on all cores.

    Raises:
        PromptError: The tokenizer does not load, or a prompt does not render.
    """
    import pyarrow.parquet as pq

    counter = Counter(stage)
    if counter.tokenizer.chat_template is None and counter.needs_template:
        if stage.taught:
            return {}
        raise PromptError(f"{stage.name}: the tokenizer of {stage.model} has no chat template: prompts cannot be rendered")
    tasks, rows = [], 0
    for split, path in stage.files.items():
        metadata = pq.read_metadata(path)
        rows += metadata.num_rows
        tasks += [(split, path, group) for group in range(metadata.num_row_groups)]
    found = {split: Lengths() for split in stage.files}
    for (split, _, _), part in zip(tasks, _count_all(counter, tasks, rows), strict=True):
        found[split].tokens.extend(part.tokens)
        found[split].over += part.over
        found[split].unrendered += part.unrendered
        found[split].named.update(part.named)
    return found


def _count_all(counter: Counter, tasks: Sequence[tuple[str, str, int]], rows: int) -> Iterator[Lengths]:
    global _counter  # noqa: PLW0603 (forked processes inherit it)
    places = [(path, group) for _, path, group in tasks]
    processes = min(len(os.sched_getaffinity(0)), len(places))
    if rows < _ROWS_FOR_PROCESSES or processes < 2:
        yield from (counter.count(*place) for place in places)
        return
    _counter = counter
    # fork: the processes inherit the tokenizer and do not import transformers again.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork"), end_with, (os.getpid(),)) as pool:
        try:
            yield from pool.map(_count, places)
        except BrokenProcessPool:
            raise PromptError("a process that counts tokens was killed; is there too little memory?") from None


_counter: Counter


def _count(place: tuple[str, int]) -> Lengths:
    return _counter.count(*place)
