"""compute_score: constant keys, recorded failures, and the abort after too many."""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rewards import entry, sandbox
from rewards.entry import compute_score, compute_score_blocking
from rewards.errors import RewardError
from rewards.reasons import collect_reasons
from rewards.scoring import calling
from rewards.scoring.combination import read_combination
from rewards.scoring.failures import Counts, read_counts, read_stop_reason
from tests.rewards.conftest import Plugin

FAILED = {"score": 0.0, "accuracy": 0.0, "has_accuracy": 1.0, "format": 0.0, "failed": 1.0}
PROBE = [{"name": "probe"}]


def both(*arguments: Any, **settings: Any) -> dict[str, float]:
    """Return the result, which must be the same with and without an event loop."""
    blocking = compute_score_blocking(*arguments, **settings)
    assert asyncio.run(compute_score(*arguments, **settings)) == blocking
    return blocking


class Odd(BaseException):
    """An error that is not an Exception."""


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class ExitingError(Exception):
    def __str__(self) -> str:
        raise SystemExit(0)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (KeyError("question_answers"), "KeyError: 'question_answers'"),
        (ValueError("two\nlines\x00"), "ValueError: two lines\N{REPLACEMENT CHARACTER}"),
        (Odd("x"), "Odd: x"),
        (SystemExit(0), "SystemExit: 0"),
        (asyncio.CancelledError(), "CancelledError"),
        (TimeoutError(), "TimeoutError"),
        (RecursionError(), "RecursionError"),
        (sandbox.SandboxError("no namespaces"), "SandboxError: no namespaces"),
        (MuteError(), "MuteError: (its message cannot be read)"),
        (ExitingError(), "ExitingError: (its message cannot be read)"),
        (GeneratorExit(), "GeneratorExit"),
    ],
)
def test_error_is_a_counted_failure(
    reward: Any, caplog: pytest.LogCaptureFixture, raised: BaseException, said: str, waits: bool, tmp_path: Path
) -> None:
    async def slow(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        await asyncio.sleep(0)
        raise raised

    def quick(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        raise raised

    raised.__traceback__ = None  # the same error was raised in an earlier test
    reward(slow if waits else quick)
    file = tmp_path / "failures.jsonl"
    assert both("d", "", "", {"id": "row-7"}, rewards=PROBE, failures=str(file), max_failed=1.0) == FAILED
    line = (slow if waits else quick).__code__.co_firstlineno + (2 if waits else 1)
    records = [json.loads(text) for text in file.read_text().splitlines()]
    assert (
        records
        == [
            {
                "row": "row-7",
                "data_source": "d",
                "reward": "probe",
                "error": said,
                "place": f"{__file__}:{line}",
                "process": os.getpid(),
            }
        ]
        * 2
    )
    assert f"reward probe failed on row row-7 of d: {said} ({__file__}:{line})" in caplog.text


def test_a_failure_is_a_reason(reward: Any) -> None:
    def fail(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        raise KeyError("question_answers")

    reward(fail)
    with collect_reasons() as reasons:
        both("d", "", "", rewards=PROBE, max_failed=1.0)
        both("d", "", "", rewards=[{"name": "probe", "data_source": "other"}], max_failed=1.0)
    failed, unclaimed = "probe failed: KeyError: 'question_answers'", "no reward of the recipe scores data source 'd'"
    assert reasons == [failed] * 2 + [f"not scored: {unclaimed}"] * 2


def test_stop_iteration_is_a_counted_failure(reward: Any) -> None:
    reward(lambda data_source, solution_str, ground_truth, extra_info: next(iter(())))
    assert both("d", "", "", rewards=PROBE, max_failed=1.0) == FAILED


@pytest.mark.parametrize(
    "result", [math.nan, math.inf, None, "text", {}, {"accuracy": 1.0}, {"score": 1.0, "accuracy": math.nan}]
)
def test_invalid_result_is_a_counted_failure(reward: Any, result: Any) -> None:
    reward(lambda data_source, solution_str, ground_truth, extra_info: result)
    assert both("d", "", "", {"id": "row"}, rewards=PROBE, max_failed=1.0) == FAILED


def test_keyboard_interrupt_is_not_a_failure(reward: Any) -> None:
    def interrupted(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        raise KeyboardInterrupt

    reward(interrupted)
    with pytest.raises(KeyboardInterrupt):
        compute_score_blocking("d", "", "", rewards=PROBE)


def test_cancellation_is_not_a_failure(reward: Any, tmp_path: Path) -> None:
    started: list[asyncio.Event] = []

    async def hangs(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        started[0].set()
        await asyncio.Event().wait()
        return 1.0

    async def cancel() -> None:
        started.append(asyncio.Event())
        task = asyncio.create_task(compute_score("d", "", "", rewards=PROBE, failures=str(tmp_path / "failures.jsonl")))
        await started[0].wait()
        task.cancel()
        await task

    reward(hangs)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert read_counts(tmp_path).rows == 0


@pytest.mark.parametrize("raised", [SystemExit(0), GeneratorExit(), asyncio.CancelledError()], ids=repr)
def test_error_in_the_thread_of_another_loop_is_a_counted_failure(reward: Any, raised: BaseException) -> None:
    def quick(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        raise raised

    reward(quick)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(compute_score_blocking, "d", "", "", rewards=PROBE, max_failed=1.0).result() == FAILED


@pytest.mark.parametrize("waits", [True, False])
def test_reward_that_cancels_its_own_task_is_a_counted_failure(reward: Any, waits: bool) -> None:
    async def cancels(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if waits:
            await asyncio.sleep(10)
        return 1.0

    async def two() -> list[dict[str, float]]:
        one = await compute_score("d", "", "", rewards=PROBE, max_failed=1.0)
        await asyncio.sleep(0)
        return [one, await compute_score("d", "", "", rewards=PROBE, max_failed=1.0)]

    reward(cancels)
    assert both("d", "", "", rewards=PROBE, max_failed=1.0) == FAILED
    assert asyncio.run(two()) == [FAILED, FAILED]


def test_closed_coroutine_is_not_a_failure(reward: Any, tmp_path: Path) -> None:
    async def hangs(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        await asyncio.Event().wait()
        return 1.0

    async def close() -> None:
        coroutine = compute_score("d", "", "", rewards=PROBE, failures=str(tmp_path / "failures.jsonl"))
        coroutine.send(None)
        await asyncio.sleep(0)
        coroutine.close()

    reward(hangs)
    asyncio.run(close())
    assert read_counts(tmp_path).rows == 0


def test_sync_function_may_return_an_awaitable(reward: Any) -> None:
    async def later() -> float:
        return 0.25

    reward(lambda data_source, solution_str, ground_truth, extra_info: later())
    assert both("d", "", "", rewards=PROBE)["score"] == 0.25


@pytest.mark.parametrize("main_thread", [True, False])
def test_reward_that_never_returns_fails_and_does_not_block_others(reward: Any, main_thread: bool) -> None:
    released = threading.Event()

    def hangs(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        if solution_str == "hang":
            released.wait()
        return 1.0

    async def many() -> list[dict[str, float]]:
        hanging = compute_score("d", "hang", "", rewards=PROBE, seconds=0.1, max_failed=1.0)
        return await asyncio.gather(hanging, *(compute_score("d", "ok", "", rewards=PROBE) for _ in range(40)))

    def hang() -> dict[str, float]:
        return compute_score_blocking("d", "hang", "", rewards=PROBE, seconds=0.1, max_failed=1.0)

    reward(hangs)
    try:
        results = asyncio.run(many())
        if main_thread:
            alone = hang()
        else:
            with ThreadPoolExecutor(1) as pool:
                alone = pool.submit(hang).result()
    finally:
        released.set()
    assert [each["failed"] for each in results] == [1.0, *[0.0] * 40]
    assert alone["failed"] == 1.0


def test_async_reward_that_never_returns_fails(reward: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def hangs(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        await asyncio.Event().wait()
        return 1.0

    reward(hangs)
    assert both("d", "", "", {"index": 3}, rewards=PROBE, seconds=0.1, max_failed=1.0) == FAILED
    assert "row 3 of d: RewardTimeoutError: not finished after 0.1 s" in caplog.text


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be advanced."""

    skipped = 0.0

    def time(self) -> float:
        return super().time() + self.skipped


@pytest.mark.parametrize("is_async", [False, True])
def test_time_limit_does_not_include_waiting_for_a_slot(reward: Any, is_async: bool) -> None:
    """Calls hold every slot for 1000 s; the next has a limit of 300 s and must start only after them."""
    started: list[str] = []
    released, awaited = threading.Event(), list[asyncio.Event]()

    async def awaits(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        started.append(solution_str)
        await awaited[0].wait()
        return 1.0

    def blocks(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        started.append(solution_str)
        released.wait()
        return 1.0

    async def many() -> list[dict[str, float]]:
        awaited.append(asyncio.Event())
        holders = [compute_score("d", "holder", "", rewards=PROBE, seconds=1e6) for _ in range(calling._CONCURRENT)]
        tasks = [asyncio.create_task(call) for call in (*holders, compute_score("d", "next", "", rewards=PROBE, seconds=300))]
        while len(started) < len(holders):
            await asyncio.sleep(0.01)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SkippingLoop)
        loop.skipped += 1000
        for _ in range(10):
            await asyncio.sleep(0)
        assert set(started) == {"holder"}
        released.set()
        awaited[0].set()
        return await asyncio.gather(*tasks)

    reward(awaits if is_async else blocks)
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        results = runner.run(many())
    assert all(each["score"] == 1.0 for each in results)
    assert started[-1] == "next"


def test_process_exits_while_a_reward_hangs(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import time\nfrom rewards.registry import register\n"
        "@register('mine')\ndef mine(**kwargs):\n    time.sleep(100_000)\n    return 1.0\n"
    )
    code = f"""
        import asyncio
        from rewards.entry import compute_score
        settings = dict(rewards=[{{"name": "mine", "file": {str(file)!r}}}], seconds=0.2, max_failed=1.0)
        print(asyncio.run(compute_score("d", "", "", **settings))["failed"])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=240, check=True
    )
    assert done.stdout == "1.0\n"


def test_reward_cannot_change_the_row_or_the_options(reward: Any) -> None:
    def greedy(data_source: str, solution_str: str, ground_truth: str, extra_info: Any, *, names: list[str] = []) -> float:  # noqa: B006
        extra_info["id"] = "other"
        names.append("x")
        return len(names)

    reward(greedy)
    facts = {"id": "row"}
    for _ in range(2):
        assert both("d", "", "", facts, rewards=[{"name": "probe", "options": {"names": ["a"]}}])["score"] == 2.0
    assert facts == {"id": "row"}


def test_verl_arguments_are_passed_to_functions_that_accept_them(reward: Any) -> None:
    def judged(data_source, solution_str, ground_truth, extra_info, *, reward_router_address=None):  # type: ignore[no-untyped-def]
        return float(reward_router_address == "host:1")

    reward(judged)
    reward(lambda data_source, solution_str, ground_truth, extra_info: 0.5, "plain")
    settings: dict[str, Any] = {"reward_router_address": "host:1", "reward_model_tokenizer": object()}
    assert both("d", "", "", rewards=[{"name": "probe"}, {"name": "plain"}], **settings)["score"] == 1.5


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        ([{"name": "white_bix"}], "no reward is called 'white_bix'; did you mean 'white_box'?"),
        ([{"name": "white_box", "options": {"format_bonnus": 1}}], "did you mean 'format_bonus'?"),
        ([{"name": "mine", "file": "/nowhere/mine.py"}], "plugin file /nowhere/mine.py not found"),
        ([{"weight": 1.0}], "KeyError: 'name'"),
    ],
)
def test_mistake_in_the_recipe_fails_every_row(rewards: Any, message: str, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RewardError) as caught:
            compute_score_blocking("d", "", "{}", rewards=rewards, failures=str(tmp_path / "failures.jsonl"))
        assert message in str(caught.value)
        assert str(caught.value).endswith(f" (on {socket.gethostname()})"), (
            "another machine may have the file, so the host is named"
        )
        assert read_stop_reason(tmp_path) == str(caught.value)


def test_options_are_checked_once(reward: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reward(lambda data_source, solution_str, ground_truth, extra_info, *, a=1: float(a))
    checked = []

    def read(given: Any) -> Any:
        checked.append(1)
        return read_combination(given)

    monkeypatch.setattr(entry, "read_combination", read)
    for _ in range(5):
        # Equal, but not the same objects.
        assert both("d", "", "", rewards=[{"name": "probe", "options": {"a": 71}}])["score"] == 71.0
    assert len(checked) == 1


def test_sandbox_uses_the_recipes_settings_and_its_share_of_the_cores(reward: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(24)))
    chosen: list[sandbox.Settings] = []
    monkeypatch.setattr(sandbox, "configure", chosen.append)
    reward(lambda data_source, solution_str, ground_truth, extra_info: 0.0)
    for settings in (
        {"workers": 8},
        {"workers": 64},
        {"workers": 8, "sandbox": {"workers": 5, "isolation": "weak", "url": None}},
    ):
        compute_score_blocking("d", "", "", rewards=PROBE, **settings)
    assert chosen == [
        sandbox.Settings(workers=4),
        sandbox.Settings(workers=1),
        sandbox.Settings(workers=5, isolation="weak"),
    ]


def breaks_on_odd_rows(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
    if extra_info["index"] % 2:
        raise LookupError("odd")
    return 1.0


def test_too_many_failures_abort_with_one_line(reward: Any, tmp_path: Path) -> None:
    reward(breaks_on_odd_rows)
    file = tmp_path / "rewards" / "failures.jsonl"
    settings: dict[str, Any] = {"rewards": PROBE, "failures": str(file), "max_failed": 0.4}
    line = breaks_on_odd_rows.__code__.co_firstlineno + 2
    for index in range(31):
        compute_score_blocking("d", "", "", {"index": index}, **settings)
    message = (
        f"reward probe failed on 16 of 32 responses (50%; max_failed_rewards is 0.4); first on row 1 of d: LookupError: odd "
        f"({__file__}:{line}); all failures: {file}"
    )
    for index in (31, 32):  # all later rows, too
        with pytest.raises(RewardError) as caught:
            compute_score_blocking("d", "", "", {"index": index}, **settings)
        assert str(caught.value) == message
    assert len(file.read_text().splitlines()) == 16
    assert read_counts(file.parent) == Counts(32, 16)


def test_reward_error_aborts_immediately(reward: Any, tmp_path: Path) -> None:
    def needs(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        raise RewardError("this Python has no bootcamp; install it: pip install bootcamp")

    reward(needs)
    file = tmp_path / "failures.jsonl"
    for index in (3, 4):
        with pytest.raises(RewardError) as caught:
            compute_score_blocking("d", "", "", {"index": index}, rewards=PROBE, failures=str(file), max_failed=1.0)
        said = "this Python has no bootcamp; install it: pip install bootcamp; first on row 3 of d"
        assert str(caught.value) == f"{said}; all failures: {file}"
        assert read_stop_reason(tmp_path) == str(caught.value)


def test_allowed_number_of_failures_does_not_abort(reward: Any, tmp_path: Path) -> None:
    reward(breaks_on_odd_rows)
    for index in range(200):
        compute_score_blocking("d", "", "", {"index": index}, rewards=PROBE, failures=str(tmp_path / "f" / "f"), max_failed=0.5)


def test_late_breakdown_aborts_quickly(reward: Any, tmp_path: Path) -> None:
    def aging(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        if extra_info["index"] >= 20_000:
            raise ConnectionError("gone")
        return 1.0

    reward(aging)
    settings: dict[str, Any] = {"rewards": PROBE, "failures": str(tmp_path / "late" / "failures.jsonl"), "max_failed": 0.1}
    for index in range(20_000):
        compute_score_blocking("d", "", "", {"index": index}, **settings)
    with pytest.raises(RewardError, match=r"failed on 103 of 1,024 responses \(10%; .*ConnectionError: gone"):
        for index in range(20_000, 20_103):
            compute_score_blocking("d", "", "", {"index": index}, **settings)


def test_unwritable_folder_is_not_a_failure(reward: Any, caplog: pytest.LogCaptureFixture) -> None:
    reward(breaks_on_odd_rows)
    settings: dict[str, Any] = {"rewards": PROBE, "failures": "/proc/nowhere/failures.jsonl", "max_failed": 1.0}
    assert compute_score_blocking("d", "", "", {"index": 0}, **settings)["failed"] == 0.0
    assert compute_score_blocking("d", "", "", {"index": 1}, **settings)["failed"] == 1.0
    assert caplog.text.count("failed rewards cannot be written to /proc/nowhere/failures.jsonl") == 1


def test_log_is_limited(reward: Any, caplog: pytest.LogCaptureFixture) -> None:
    reward(breaks_on_odd_rows)
    for index in range(1, 400, 2):
        compute_score_blocking("d", "", "", {"index": index}, rewards=PROBE, max_failed=1.0, seconds=99.0)
    assert caplog.text.count("reward probe failed on row") <= 6


def test_calls_from_many_threads(reward: Any, tmp_path: Path) -> None:
    async def waits_on_odd_rows(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        await asyncio.sleep(0.001)
        return breaks_on_odd_rows(data_source, solution_str, ground_truth, extra_info)

    reward(breaks_on_odd_rows, "sync")
    reward(waits_on_odd_rows, "awaited")
    file = tmp_path / "failures.jsonl"
    settings: dict[str, Any] = {
        "rewards": [{"name": "sync", "data_source": "s"}, {"name": "awaited"}],
        "failures": str(file),
        "max_failed": 1.0,
    }

    def score(index: int) -> dict[str, float]:
        return compute_score_blocking("sa"[index // 2 % 2], "", "", {"index": index}, **settings)

    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(score, range(2000)))
    assert [each["failed"] for each in results] == [float(index % 2) for index in range(2000)]
    assert len({tuple(each) for each in results}) == 1
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(each["row"] for each in records) == list(range(1, 2000, 2))
    assert (read_counts(tmp_path).rows, read_counts(tmp_path).failed) == (2000, 1000)


def test_blocking_reward_does_not_block_the_loop(reward: Any) -> None:
    threads, ticked = set[int](), threading.Event()

    def blocks(data_source: str, solution_str: str, ground_truth: str, extra_info: Any) -> float:
        threads.add(threading.get_ident())
        return float(ticked.wait(120))

    async def tick() -> None:
        while not threads:
            await asyncio.sleep(0.005)
        ticked.set()

    async def many() -> list[dict[str, float]]:
        calls = asyncio.gather(*(compute_score("d", "", "", rewards=PROBE) for _ in range(96)))
        await tick()
        return await calls

    reward(blocks)
    assert all(each["score"] == 1.0 for each in asyncio.run(many()))
    assert threading.get_ident() not in threads


PROCESS = """
import sys
from rewards.entry import compute_score_blocking
rewards = [{"name": "mine", "file": sys.argv[1]}]
for index in range(int(sys.argv[3]), int(sys.argv[3]) + 500):
    facts = {"index": index, "id": f"row-{index}"}
    compute_score_blocking("d", "", "", facts, rewards=rewards, failures=sys.argv[2], max_failed=0.6, workers=8)
"""


def test_eight_processes_share_one_file(plugin: Plugin, tmp_path: Path) -> None:
    path = plugin(
        """
        @register("mine")
        async def mine(data_source, solution_str, ground_truth, extra_info):
            if extra_info["index"] % 2:
                raise ValueError("x" * (extra_info["index"] % 700))
            return 1.0
        """
    )
    file = tmp_path / "rewards" / "failures.jsonl"
    arguments = [sys.executable, "-c", PROCESS, str(path), str(file)]
    running = [subprocess.Popen([*arguments, str(number * 500)], stderr=subprocess.DEVNULL) for number in range(8)]
    assert [process.wait() for process in running] == [0] * 8
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert Counter(each["row"] for each in records) == Counter(f"row-{index}" for index in range(1, 4000, 2))
    assert len({each["process"] for each in records}) == 8
    assert (read_counts(file.parent).rows, read_counts(file.parent).failed) == (4000, 2000)
