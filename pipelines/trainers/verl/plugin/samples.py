"""Keep a few responses of each step and validation with their rewards and reasons (`pipelines.trainers.samples`)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pipelines.trainers.samples import LONGEST_PROMPT, LONGEST_REASON, LONGEST_TRUTH, Sample, Split, shorten, write_samples
from pipelines.trainers.verl.plugin.reasons import REASONS
from rewards.builtin.interpreter_tool import USAGE_KEY
from rewards.errors import one_line

_OF_PROMPTS = ("prompts", "reward_model")
_OF_RESPONSES = ("responses", "response_mask", "rm_scores", "extra_fields")

Fetch = Callable[[Sequence[str], str, Sequence[str]], Mapping[str, Sequence[Any]]]
"""`(keys, partition, fields)` -> the values of each field, one per key."""


@dataclass(frozen=True)
class Group:
    """The responses to a prompt."""

    source: str
    row: str
    keys: tuple[str, ...]
    """verl's, one per response, in order."""


def group_keys(keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Return verl's keys, `<prompt>_<session>_<index in the session>`, by prompt; of each session, the last."""
    prompts: dict[str, dict[int, tuple[int, str]]] = {}
    for key in keys:
        prompt, session, index = key.rsplit("_", 2)
        sessions = prompts.setdefault(prompt, {})
        sessions[int(session)] = max(sessions.get(int(session), (-1, "")), (int(index), key))
    return [tuple(key for _, (_, key) in sorted(sessions.items())) for sessions in prompts.values()]


def choose(groups: Sequence[Group], most: int) -> list[Group]:
    """Return the groups to keep, the same ones of the same rows: whole ones, of each data source in turn.

    Args:
        groups: Those of a step or a validation.
        most: Responses to keep; if the first group is larger, all of it is kept.
    """
    by_source: dict[str, list[Group]] = {}
    for group in sorted(groups, key=lambda each: (_digest(each.row), each.row)):
        by_source.setdefault(group.source, []).append(group)
    turns = zip_longest(*(by_source[source] for source in sorted(by_source)))
    kept: list[Group] = []
    for group in (each for turn in turns for each in turn if each is not None):
        if kept and sum(len(each.keys) for each in kept) + len(group.keys) > most:
            break
        kept.append(group)
    return kept


def _digest(row: str) -> str:
    return hashlib.sha256(row.encode("utf-8", "replace")).hexdigest()


class SampleKeeper:
    """Keeps the samples of a training. An error is printed once and stops nothing.

    Args:
        config: verl's configuration.
        fetch: Returns what verl knows of responses.
        decode: Returns the text of token ids.
    """

    def __init__(self, config: Any, fetch: Fetch, decode: Callable[[Sequence[int]], str]) -> None:
        self._folder = Path(config.pipeline.samples.folder)
        self._most = int(config.pipeline.samples.responses)
        self._limit = int(config.actor_rollout_ref.rollout.response_length)
        self._fetch, self._decode = fetch, decode
        self._found: dict[Group, list[Mapping[str, Any]]] = {}
        self._responses = 0
        self._is_reported = False

    def collect(self, keys: Sequence[str], partition: str) -> None:
        """Fetch what may be kept of some responses of a step or a validation, before verl deletes them."""
        with self._tolerate_errors():
            prompts = group_keys(keys)
            self._responses += sum(map(len, prompts))
            about = self._fetch([keys[0] for keys in prompts], partition, ("data_source", "extra_info"))
            rows = zip(about["data_source"], about["extra_info"], prompts, strict=True)
            chosen = choose([Group(str(source), _row_id(info), keys) for source, info, keys in rows], self._most)
            of_prompts = _by_key(self._fetch, [group.keys[0] for group in chosen], partition, _OF_PROMPTS)
            of_responses = _by_key(self._fetch, [key for group in chosen for key in group.keys], partition, _OF_RESPONSES)
            for group in chosen:
                prompt = of_prompts[group.keys[0]]
                self._found[group] = [{**prompt, **of_responses[key]} for key in group.keys]

    def write(self, split: Split, step: int) -> None:
        """Write the samples of what was collected since the last call."""
        found, responses = self._found, self._responses
        self._found, self._responses = {}, 0
        with self._tolerate_errors():
            kept = choose(list(found), self._most)
            samples: list[Sample] = []
            for number, group in enumerate(kept):
                samples += self._read(split, step, number, group, found[group])
            if samples:
                write_samples(self._folder, split, step, samples, responses)

    def _read(
        self, split: Split, step: int, number: int, group: Group, responses: Sequence[Mapping[str, Any]]
    ) -> Iterator[Sample]:
        """Yield the samples of a group."""
        prompt, truth = responses[0]["prompts"], (responses[0]["reward_model"] or {}).get("ground_truth", "")
        prompt_text, _ = shorten(self._decode(prompt), LONGEST_PROMPT)
        truth_text, _ = shorten(truth if isinstance(truth, str) else json.dumps(truth, default=str), LONGEST_TRUTH)
        for place, response in enumerate(responses):
            text, omitted = shorten(self._decode(response["responses"]))
            extra = response["extra_fields"] or {}
            usage = extra.get(USAGE_KEY) or {}
            score, reason = _float32(math.fsum(response["rm_scores"])), shorten(extra.get(REASONS) or "", LONGEST_REASON)[0]
            if not math.isfinite(score):
                score, reason = 0.0, f"the score is {score}"
            yield Sample(
                split=split,
                step=step,
                source=_clean(group.source),
                row=_clean(group.row),
                group=number,
                number=place,
                prompt=prompt_text,
                response=text,
                omitted=omitted,
                score=score,
                values=_numbers(extra.get("reward_extra_info") or {}),
                reason=reason,
                tokens=int(sum(response["response_mask"])),
                prompt_tokens=len(prompt),
                cut=len(response["responses"]) >= self._limit or bool(usage.get("cut")),
                truth=truth_text,
                calls=int(usage.get("calls", 0)),
            )

    @contextmanager
    def _tolerate_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not self._is_reported:
                print(f"warning: samples of responses are not kept: {one_line(error)}", flush=True)
            self._is_reported = True


def _by_key(fetch: Fetch, keys: Sequence[str], partition: str, fields: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = fetch(keys, partition, fields)
    return {key: {field: found[field][place] for field in fields} for place, key in enumerate(keys)}


def _row_id(info: Any) -> str:
    """Return the id by which the rewards' messages name a row."""
    given = info or {}
    return str(given.get("index") if given.get("id") in (None, "") else given["id"])


def _numbers(info: Mapping[str, Any]) -> dict[str, float]:
    numbers = {_clean(name): float(value) for name, value in info.items() if hasattr(value, "__float__") and name != "score"}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _float32(number: float) -> float:
    """Return the shortest of the numbers that verl, which computes scores in 32 bits, does not distinguish."""
    return float(f"{number:.7g}")


def _clean(name: str) -> str:
    return shorten(name, 500)[0]
