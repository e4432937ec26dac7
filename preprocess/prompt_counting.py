"""Counting the tokens of prompts with the chat template of the model that they are for.

Runs in a trainer's environment: it needs pyarrow and transformers, and nothing else of this project.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from preprocess.lifetime import end_with

SHOWN = 5
"""Rows that are named where many are meant."""

_BATCH = 256
_ROWS_FOR_PROCESSES = 20_000
_ROLES = {"human": "user", "gpt": "assistant", "observation": "tool", "function_call": "assistant"}


class PromptError(Exception):
    """The prompts are not fit to be trained on; the message is the one line that a person reads."""


@dataclass(frozen=True)
class Stage:
    """Files of rows, and the model that they are for."""

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
    tools: Mapping[str, Any] = field(default_factory=dict)
    """Tool -> its schema, as rows name the tools in extra_info.tool_selection."""
    taught: bool = False
    """Whether an sft stage comes before it, whose trainer gives a model without a chat template one."""


@dataclass
class Lengths:
    """What was counted in one file."""

    tokens: array[int] = field(default_factory=lambda: array("L"))
    over: list[str] = field(default_factory=list)
    """The rows that are longer than the limit."""
    unrendered: list[str] = field(default_factory=list)
    """Conversations that the chat template refuses, and why; counted without it."""

    def summarise(self) -> dict[str, Any]:
        """What the stage's file says of it."""
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
            raise PromptError(f"{stage.name}: the tokenizer of {stage.model} does not load: {_one_line(error)}") from error

    def count(self, path: str, group: int) -> Lengths:
        """The lengths of the rows of one row group.

        Raises:
            PromptError: a prompt does not render.
        """
        import pyarrow.parquet as pq

        found = Lengths()
        with pq.ParquetFile(path) as file:
            first = sum(file.metadata.row_group(number).num_rows for number in range(group))
            for batch in file.iter_batches(_BATCH, row_groups=[group], use_threads=False):
                names, texts = [], []
                for place, row in enumerate(batch.to_pylist(), first):
                    names.append((row.get("extra_info") or {}).get("id") or f"row {place}")
                    texts.append(self._render(row, names[-1], found))
                first += len(names)
                tokens = self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)[
                    "input_ids"
                ]
                found.tokens.extend(map(len, tokens))
                if self.stage.limit is not None:
                    found.over += [name for name, ids in zip(names, tokens, strict=True) if len(ids) > self.stage.limit]
        return found

    def _render(self, row: Mapping[str, Any], name: str, found: Lengths) -> str:
        rl = self.stage.shape == "rl"
        messages = row["prompt"] if rl else _to_messages(row)
        try:
            tools = self._select_tools(row) if rl else json.loads(row["tools"]) if row["tools"] else None
            text: str = self.tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=rl)
        except Exception as error:
            if rl:
                raise PromptError(f"{self.stage.name}: the prompt of {name} does not render: {_one_line(error)}") from error
            found.unrendered.append(f"{name}: {_one_line(error)}")
            return "\n".join(message["content"] for message in messages)
        return text

    def _select_tools(self, row: Mapping[str, Any]) -> list[Any] | None:
        selected = (row.get("extra_info") or {}).get("tool_selection") or []
        return [self.stage.tools[name] for name in selected if name in self.stage.tools] or None


def _to_messages(row: Mapping[str, Any]) -> list[dict[str, str]]:
    system = [{"role": "system", "content": row["system"]}] if row["system"] else []
    return [*system, *({"role": _ROLES[turn["from"]], "content": turn["value"]} for turn in row["conversations"])]


def measure(stage: Stage) -> dict[str, Lengths]:
    """The lengths of all rows of a stage, by file; large files by all cores.

    Raises:
        PromptError: the tokenizer does not load, or a prompt does not render.
    """
    import pyarrow.parquet as pq

    counter = Counter(stage)
    if counter.tokenizer.chat_template is None and stage.shape == "rl":
        if stage.taught:
            return {}
        raise PromptError(f"{stage.name}: the tokenizer of {stage.model} has no chat template: no prompt can be built")
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
    return found


def _count_all(counter: Counter, tasks: Sequence[tuple[str, str, int]], rows: int) -> Iterator[Lengths]:
    global _counter  # noqa: PLW0603 (what forked processes begin with)
    places = [(path, group) for _, path, group in tasks]
    processes = min(len(os.sched_getaffinity(0)), len(places))
    if rows < _ROWS_FOR_PROCESSES or processes < 2:
        yield from (counter.count(*place) for place in places)
        return
    _counter = counter
    # fork: each process has the tokenizer, and none imports transformers anew.
    with multiprocessing.get_context("fork").Pool(processes, end_with, (os.getpid(),)) as pool:
        yield from pool.imap(_count, places)


_counter: Counter


def _count(place: tuple[str, int]) -> Lengths:
    return _counter.count(*place)


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
