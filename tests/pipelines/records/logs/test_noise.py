"""Logs without noise: what is shown of the trainers' real lines, and that what matters is not left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.records.logs.noise import Cleaner, find_ranks


def clean(text: str, **options: object) -> list[str]:
    cleaner = Cleaner(**options)  # type: ignore[arg-type]
    return [line for each in text.strip("\n").split("\n") if (line := cleaner.clean(each)) is not None]


def prefixed(text: str, process: str = "TaskRunnerV1 pid=7") -> str:
    return "\n".join(f"\x1b[36m({process})\x1b[0m {line}" for line in text.strip("\n").split("\n"))


DUMP = """
{'actor_rollout_ref': {'actor': {'_target_': 'verl.workers.config.FSDPActorConfig', 'x': 1,
                                 'checkpoint': {'save': ['model',
                                                         'optimizer'],
                                                'text': 'a } in quotes'}}},
 'trainer': {'steps': 2}}
after
"""


def test_a_dumped_configuration_is_one_line() -> None:
    assert clean(prefixed(DUMP)) == ["{'actor_rollout_ref': {'actor': {'_target_': 'verl.workers.c …", "after"]


def test_a_dump_that_ray_broke_into_parts() -> None:
    parts = "{'skip': {'a': 1,\n         \n'dump_dir':\n'~/.verl'\n,\n   'enable':\nFalse\n,\n: []\n}}\n"
    assert clean(prefixed(parts.replace("}}", "}\n,\n'trainer'\n:\n{'x': True,\n    'y': 1}}") + "{'loss': 1.0}")) == [
        "{'skip': {'a': 1, …",
        "{'loss': 1.0}",
    ]


def test_a_value_that_is_not_closed_swallows_nothing_that_begins_a_line() -> None:
    assert clean("(a text [with an open bracket\n{'loss': 1.0}\nnext: 3\n{'loss': 0.9}")[1:] == [
        "{'loss': 1.0}",
        "next: 3",
        "{'loss': 0.9}",
    ]


def test_what_a_process_logs_again_is_shown_once() -> None:
    line = "[INFO|c.py:1] 2026-11-28 06:58:34,0{} >> loading file /a\n"
    assert clean(line.format(1) + "other\n" + line.format(2)) == ["06:58:34 loading file /a", "other"]


def test_errors_come_through_a_dump() -> None:
    lines = prefixed(DUMP).split("\n")
    lines[2:2] = prefixed("ValueError: stderr is another stream").split("\n")
    assert clean("\n".join(lines))[1:] == ["ValueError: stderr is another stream", "after"]


def test_a_model_configuration_of_transformers() -> None:
    text = (
        '[INFO|c.py:1] 2026-11-28 06:58:34,081 >> Model config Qwen2Config {\n  "names": [\n    "Q"\n  ],\n  "a": 1\n}\n\nnext'
    )
    assert clean(text) == ["06:58:34 Model config Qwen2Config { …", "next"]


TRACEBACK = """
Error executing job with overrides: []
Traceback (most recent call last):
  File "/a/main_ppo.py", line 3, in run
    runner.run([
  File "/a/main_ppo.py", line 3, in run
    runner.run([
torch.OutOfMemoryError: CUDA out of memory
"""


def test_a_traceback_is_whole() -> None:
    assert clean(prefixed(TRACEBACK)) == TRACEBACK.strip("\n").split("\n")
    assert clean(prefixed(TRACEBACK), warnings=True) == TRACEBACK.strip("\n").split("\n")


def test_warnings_only() -> None:
    text = "all well\n[W1128 06:39:34.200 utils.cpp:68] disk is slow\nINFO:2026-11-28 06:38:41,949:fine\nKeyError: 'x'"
    assert clean(text, warnings=True) == ["06:39:34 WARNING disk is slow", "KeyError: 'x'"]


def test_a_warning_is_shown_once_without_its_code() -> None:
    text = "".join(f"/a/b/c.py:{n}: UserWarning: step {n} is slow\n  warnings.warn(text)\n" for n in range(3))
    assert clean(text) == ["b/c.py:0: UserWarning: step 0 is slow"]


def test_what_every_rank_prints_is_shown_once() -> None:
    text = "\n".join(prefixed("Qwen2 contains 190K parameters", f"WorkerDict pid={n}") for n in range(8))
    assert clean(text) == ["Qwen2 contains 190K parameters"]
    again = prefixed("step is done") + "\n" + prefixed("other") + "\n" + prefixed("step is done")
    assert clean(again) == ["step is done", "other", "step is done"], "one process says it twice"


def test_messages_of_every_run_are_left_out() -> None:
    cleaner = Cleaner()
    line = '/v/workers/engine/__init__.py:32: UserWarning: torchtitan engine is not available: ModuleNotFoundError("No")'
    assert cleaner.clean(line) is None and cleaner.clean('  warnings.warn(f"torchtitan")') is None
    assert cleaner.clean("\r 36%|███▌      | 160/450 [00:01<00:00, 1127.97it/s]") is None
    assert cleaner.left_out == 2, "a progress bar is no line"


def test_a_step_of_verl_has_the_metrics_that_matter() -> None:
    text = "step:2 - perf/time:1226.0 - actor/entropy:6.4013442 - critic/score/mean:0.0575 - val-core/a/b:np.float64(0.5)"
    assert clean(text) == ["step 2: actor/entropy 6.401, critic/score/mean 0.0575, val-core/a/b 0.5 and 1 more metrics"]
    assert clean("step:3 - perf/a:1.0 - perf/b:nan") == ["step 3: perf/a 1, perf/b nan"]


def test_rays_count_of_repeated_lines() -> None:
    text = "text [repeated 119x across cluster] (Ray deduplicates logs by default. Set RAY_DEDUP_LOGS=0 to disable (x))"
    assert clean(text) == ["text (119 times)"]


def test_a_long_line_is_cut() -> None:
    (line,) = clean("x" * 1000)
    assert line == f"{'x' * 300} … (700 more characters)"


RANKS = """
(WorkerDict pid=4) before
(WorkerDict pid=5) before
(WorkerDict pid=4) [Rank 0] Saved model
(WorkerDict pid=5) [rank1]:W1128 06:40:00.592 5 a.py:5] slow
(TaskRunner pid=6) driver
(WorkerDict pid=5) after
"""


def test_lines_of_a_rank(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(RANKS + "[rank2]: Traceback (most recent call last):\n[rank2]: ValueError: x\n")
    ranks = find_ranks(tmp_path / "log")
    assert ranks == {"4": 0, "5": 1, "rank 2": 2}
    assert clean(RANKS, rank=1, ranks=ranks) == ["before", "06:40:00 WARNING slow", "after"]
    assert clean((tmp_path / "log").read_text(), rank=2, ranks=ranks) == ["Traceback (most recent call last):", "ValueError: x"]
    assert clean(RANKS, rank=7, ranks=ranks) == []


@pytest.mark.parametrize(
    "part", ["x", "a/b", "1% ", "8 examples [", "'", '"', "(", "[rank1]", "val/a:1 - ", " ", "\r", "\x1b["]
)
def test_a_line_of_a_megabyte_is_cut(part: str) -> None:
    """A pattern that looks at each pair of characters would take hours."""
    line = Cleaner().clean(part * (1_000_000 // len(part)))
    assert line is None or len(line) < 500
