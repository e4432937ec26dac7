"""Score the responses of an evaluation while they are generated: `python -m pipelines.evaluation.scoring evaluation.json`.

Runs in verl's environment, as rewards do in training. Follows each set's generated.jsonl and appends to its responses.jsonl;
responses that are there are not scored again. Ends when standard input is closed and everything generated is scored.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.evaluation.records import Appender, Generated, Problem, RecordError, Response, Tail, read
from pipelines.evaluation.spec import SetSpec, SpecError
from pipelines.evaluation.spec import read as read_spec
from rewards import sandbox
from rewards.builtin.code_tests import NO_PROGRAM
from rewards.builtin.interpreter_tool import USAGE_KEY
from rewards.errors import RewardError
from rewards.registry import BUILT_IN
from rewards.scoring.combination import Combination, Entry, read_combination
from rewards.trial.offline import Row, Scored, score_one

_POLL_SECONDS = 0.2
_READ_AT_ONCE = 64
_LONGEST_REASON = 500


class SetScorer:
    """Scores the responses of one set, in a folder.

    Raises:
        RecordError: A line of a file is not a record.
        RewardError: A reward or an option does not exist.
    """

    def __init__(self, folder: Path, rewards: Sequence[Mapping[str, Any]]) -> None:
        self._combination = read_combination(rewards)
        self._problems = {each.row: (number, each) for number, each in enumerate(read(folder / "problems.jsonl", Problem))}
        self._path = folder / "generated.jsonl"
        self._generated = Tail(self._path, Generated)
        self._done = {(each.row, each.sample) for each in read(folder / "responses.jsonl", Response)}
        self._responses = Appender(folder / "responses.jsonl")

    def take(self) -> list[Generated]:
        """Return the next generated responses that are not scored yet.

        Raises:
            RecordError: A line is not a record, or its row is not a problem of the set.
        """
        new: list[Generated] = []
        while not new and (found := self._generated.read(_READ_AT_ONCE)):
            if unknown := next((each.row for each in found if each.row not in self._problems), None):
                raise RecordError(
                    f"{self._path}: row {unknown!r} is not in problems.jsonl: responses and problems do not match"
                )
            new = [each for each in found if (each.row, each.sample) not in self._done]
        self._done.update((each.row, each.sample) for each in new)
        return new

    async def score(self, generated: Generated) -> None:
        """Score a response and append it."""
        number, problem = self._problems[generated.row]
        self._responses.append(await score(self._combination, number, problem, generated))

    def close(self) -> None:
        """Flush the scored responses."""
        self._responses.close()


async def score(combination: Combination, number: int, problem: Problem, generated: Generated) -> Response:
    """Return a response with its score; one that cannot be scored has 0 and the reason.

    Raises:
        RewardError: The reward cannot work here.
        SandboxError: The sandbox failed.
    """
    usage = {USAGE_KEY: generated.usage} if generated.usage else {}
    row = Row(number, problem.row, problem.data_source, problem.ground_truth, {**problem.extra_info, **usage})
    entries = combination.matching_rewards(problem.data_source)
    parts = [(entry, await score_one(entry.reward, entry.options, row, generated.text)) for entry in entries]
    failed = next((part.failed for _, part in parts if part.failed), None)
    if not parts:
        failed = f"no reward of the set scores data source {problem.data_source!r}"
    result = combination.failed() if failed else combination.combine(parts)
    reports = any(part.accuracy is not None for _, part in parts)
    reason = "; ".join(reason for _, part in parts for reason in part.reasons)[:_LONGEST_REASON]
    return Response(
        row=generated.row,
        sample=generated.sample,
        text=generated.text,
        tokens=generated.tokens,
        finish=generated.finish,
        score=result["score"],
        accuracy=result["accuracy"] if reports else None,
        share=None if failed else _find_share(parts),
        has_form=None if failed else _find_form(parts),
        reason=reason or None,
        failed=failed,
        prompt_tokens=generated.prompt_tokens,
        calls=generated.calls,
    )


def _runs_tests(entry: Entry) -> bool:
    """Return whether a reward's accuracy is a share of tests."""
    task = entry.options.get("task") or "code_tests"
    return entry.reward.source == BUILT_IN and (entry.reward.name, task) in (
        ("code_tests", task),
        ("interpreter", "code_tests"),
    )


def _find_share(parts: Sequence[tuple[Entry, Scored]]) -> float | None:
    shares = [part.accuracy for entry, part in parts if _runs_tests(entry) and not _options(entry).get("all_or_nothing")]
    return shares[0] if shares else None


def _find_form(parts: Sequence[tuple[Entry, Scored]]) -> bool | None:
    """Return whether the response has a program, or what its reward expects; None if no reward reports it."""
    programs = [NO_PROGRAM not in part.reasons for entry, part in parts if _runs_tests(entry)]
    # verl's graders report no form.
    given = [(entry, part.format) for entry, part in parts if "verl" not in (entry.reward.name, entry.options.get("task"))]
    forms = [form >= 1 for _, form in given if form is not None]
    return programs[0] if programs else forms[0] if forms else None


def _options(entry: Entry) -> Mapping[str, Any]:
    return entry.options.get("task_options") or entry.options


async def follow(
    scorers: Sequence[SetScorer], is_ended: Callable[[], bool], progress: Callable[[], object] = lambda: None
) -> None:
    """Score what is generated until `is_ended` returns True and everything is scored.

    Raises:
        OSError: A file cannot be written.
        RecordError, RewardError, SandboxError: As `SetScorer`.
    """
    workers = 2 * len(os.sched_getaffinity(0)) + 2
    queue: asyncio.Queue[tuple[SetScorer, Generated] | None] = asyncio.Queue(workers)

    async def work() -> None:
        while (item := await queue.get()) is not None:
            await item[0].score(item[1])
            progress()

    async def feed() -> None:
        while True:
            ended = is_ended()  # before reading, so that nothing that was written before is missed
            found = [(scorer, generated) for scorer in scorers for generated in scorer.take()]
            for item in found:
                await queue.put(item)
            if not found and ended:
                break
            if not found:
                await asyncio.sleep(_POLL_SECONDS)
        for _ in range(workers):
            await queue.put(None)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
        group.create_task(feed())


def check_rewards(sets: Sequence[SetSpec], *, local: bool) -> None:
    """Check that this Python has what the rewards need.

    Raises:
        RewardError: It does not.
    """
    for each in sets:
        for entry in read_combination(each.rewards).entries:
            entry.reward.check_ready(local=local)


def score_sets(spec_file: Path, is_ended: Callable[[], bool]) -> None:
    """Score the sets of an evaluation until `is_ended`."""
    spec = read_spec(spec_file)
    settings = sandbox.read_settings(spec.sandbox, 1)
    sandbox.configure(settings)
    check_rewards(spec.sets, local=settings.url is None)
    scorers = [SetScorer(spec_file.parent / each.name, each.rewards) for each in spec.sets]
    try:
        asyncio.run(follow(scorers, is_ended))
    except* (OSError, RecordError, RewardError, sandbox.SandboxError) as errors:
        raise errors.exceptions[0] from None
    finally:
        for each in scorers:
            each.close()
        sandbox.close_all()


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    ended = threading.Event()

    def wait() -> None:
        # Not sys.stdin, whose lock this thread would hold when the interpreter ends after an error.
        while os.read(0, 1024):
            pass
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    try:
        score_sets(Path(arguments[0]), ended.is_set)
    except (SpecError, RecordError, RewardError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except sandbox.SandboxError as error:
        print(f"error: {error}; see `pipeline doctor`", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or arguments[0]}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
