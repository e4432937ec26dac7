"""rejection_sampled: the right responses of an evaluation, as answers to learn from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.options import Positive
from preprocess.converters.shared.conversations import make_conversation
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import SftRow, Turn
from preprocess.sources.evaluations import EvaluatedResponse, SampledProblem, read_problems
from preprocess.sources.reading import Record

_SPEAKERS = {"user": "human", "assistant": "gpt"}

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class RejectionSampledOptions(Options, frozen=True, kw_only=True):
    """Selection of problems and of their responses."""

    select: Literal["all", "best", "shortest"] = "all"
    """Which of a problem's right responses: all, the one with the best score (of equal ones the shortest), or the shortest."""
    most: Positive | None = None
    """With `all`: at most this many of a problem, so that easy problems do not dominate; the first ones sampled."""
    passed: float = 1.0
    """A response is right if its accuracy is at least this; its score if the reward returns no accuracy."""
    always_right: bool = False
    """Also use problems whose responses are all right: the model has nothing to learn from them."""
    min_pass_rate: Share = 0.0
    """Least share of a problem's responses that are right."""
    max_pass_rate: Share = 1.0
    """Greatest share of a problem's responses that are right."""

    def __post_init__(self) -> None:
        if self.min_pass_rate > self.max_pass_rate:
            raise ValueError(f"min_pass_rate is {self.min_pass_rate:g}, greater than max_pass_rate {self.max_pass_rate:g}")
        if self.most is not None and self.select != "all":
            raise ValueError(f"most is for select: all; {self.select} selects one response")


def _read(source: Path, options: Options) -> Iterator[Record]:
    return read_problems(source)


def _sft(record: SampledProblem, options: RejectionSampledOptions) -> Iterable[SftRow]:
    system, turns = _read_prompt(record.problem.prompt)
    for response in _select(_find_right(record.responses, options), options):
        yield make_conversation([*turns, Turn("gpt", response.text)], system)


def _read_prompt(messages: Sequence[dict[str, str]]) -> tuple[str | None, list[Turn]]:
    """Return a prompt's system message and its turns."""
    try:
        system = messages[0]["content"] if messages and messages[0]["role"] == "system" else None
        rest = messages if system is None else messages[1:]
        return system, [Turn(_SPEAKERS[message["role"]], message["content"]) for message in rest]
    except KeyError as error:
        expected = "expected messages of role and content, from system, user and assistant"
        raise RowError(f"the prompt has {error}, {expected}") from error


def _find_right(responses: Sequence[EvaluatedResponse], options: RejectionSampledOptions) -> list[EvaluatedResponse]:
    """Return the right responses of a problem that the options use, in the order of the samples.

    Raises:
        LeftOutError: The problem is not used, or has no right response.
    """
    scored = [each for each in responses if not each.failed]
    if not scored:
        raise LeftOutError("it has no response with a score")
    right = sorted((each for each in scored if _is_right(each, options.passed)), key=lambda each: each.sample)
    rate = len(right) / len(scored)
    if not right:
        raise LeftOutError("none of its responses is right")
    if rate == 1 and not options.always_right:
        raise LeftOutError("all of its responses are right")
    if rate < options.min_pass_rate:
        raise LeftOutError(f"its pass rate is under {options.min_pass_rate:g}")
    if rate > options.max_pass_rate:
        raise LeftOutError(f"its pass rate is over {options.max_pass_rate:g}")
    return right


def _is_right(response: EvaluatedResponse, passed: float) -> bool:
    return (response.score if response.accuracy is None else response.accuracy) >= passed


def _select(right: Sequence[EvaluatedResponse], options: RejectionSampledOptions) -> list[EvaluatedResponse]:
    """Return the responses to learn from, identical ones once.

    Raises:
        LeftOutError: None can be used.
    """
    # The text of a response with calls also has the tool's replies, which must not be learned.
    alone = [each for each in right if not each.calls]
    if not alone:
        raise LeftOutError("its right responses call the tool")
    whole = {each.text.strip(): each for each in reversed(alone) if each.finish == "stop"}
    if not whole:
        raise LeftOutError("its right responses are cut")
    found = sorted(whole.values(), key=lambda each: each.sample)
    if options.select == "all":
        return found[: options.most]
    if options.select == "best":
        return [min(found, key=lambda each: (-each.score, each.tokens))]
    return [min(found, key=lambda each: each.tokens)]


REJECTION_SAMPLED = Converter(
    "rejection_sampled",
    "the right responses of an evaluation, by `pipeline evaluate`",
    SampledProblem,
    RejectionSampledOptions,
    sft=_sft,
    read=_read,
)
