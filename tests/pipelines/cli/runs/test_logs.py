"""`pipeline logs`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipelines.conftest import Call
from tests.pipelines.records.making import hold, make_run, write_step


def shown(out: str) -> list[str]:
    """Return the lines without the times of attempts."""
    return [line.partition(", 20")[0] for line in out.splitlines()]


def test_all_steps_in_order(here: Path, call: Call) -> None:
    code, out, err = call("logs", "old")
    assert (code, err) == (0, "")
    assert shown(out)[:4] == [
        "== sft/prepare, attempt 1",
        "hello from prepare",
        "== rl/prepare, attempt 1",
        "hello from prepare",
    ]
    assert shown(out)[-2:] == ["== rl/train, attempt 1", "hello from train"]


@pytest.mark.parametrize(("part", "count"), [("sft", 4), ("rl/train", 1), ("prompts", 1)])
def test_a_stage_or_a_step(here: Path, call: Call, part: str, count: int) -> None:
    out = call("logs", "broken", part)[1]
    assert sum(line.startswith("==") for line in out.splitlines()) == count


def test_an_unknown_stage(here: Path, call: Call) -> None:
    code, _, err = call("logs", "whole", "rl/trian")
    assert (code, err) == (2, "error: runs/whole has no stage or step 'rl/trian'; did you mean 'rl/train'?\n")


def test_noise_is_left_out_unless_raw(here: Path, call: Call) -> None:
    bar = "\r 36%|███▌      | 160/450 [00:01<00:00, 11.9it/s]"
    text = f"--- attempt 1, 2026-11-28T06:58:23+00:00\n\x1b[36m(W pid=1)\x1b[0m {bar}\n"
    text += "UserWarning: disk\nUserWarning: disk\n\x1b]0;x\x07title\x1b[2J\n"
    (here / "runs/whole/stages/rl/train/log").write_text(text)
    _, out, err = call("logs", "whole", "rl/train")
    assert out.splitlines() == ["== rl/train, attempt 1, 2026-11-28 06:58:23 UTC", "UserWarning: disk", "title"]
    assert err == "lines left out as noise: 1; all with --raw\n"
    _, out, err = call("logs", "whole", "rl/train", "--raw")
    assert (out, err) == (text, "")
    _, out, _ = call("logs", "whole", "rl/train", "--warnings")
    assert out.splitlines()[1:] == ["UserWarning: disk"]


def test_json_has_an_object_per_line(here: Path, call: Call) -> None:
    path = here / "runs/whole/stages/rl/train/log"
    path.write_text("".join(f"--- attempt {n}, 2026-11-28T06:58:23+00:00\nUserWarning: \x1b[2Jdisk\n" for n in (1, 2)))
    lines = [json.loads(line) for line in call("logs", "whole", "rl/train", "--json")[1].splitlines()]
    assert lines[3] == {"version": 1, "step": "rl/train", "attempt": 2, "line": "UserWarning: disk"}
    assert [each["attempt"] for each in lines] == [1, 1, 2, 2]


def test_each_attempt_is_cleaned_by_itself(here: Path, call: Call) -> None:
    path = here / "runs/whole/stages/rl/train/log"
    path.write_text("".join(f"--- attempt {n}, 2026-11-28T06:58:23+00:00\nUserWarning: disk\n" for n in (1, 2)))
    assert call("logs", "whole", "rl/train")[1].count("UserWarning") == 2


def test_nothing_to_show(here: Path, call: Call) -> None:
    assert call("logs", "whole", "prompts", "--warnings")[2] == "no warnings\n"
    assert call("logs", "whole", "prompts", "--rank", "3")[2] == "no line names rank 3; no line names a rank\n"
    (here / "runs/whole/count-prompts/log").write_text("[rank0]: x\n[rank1]: y\n")
    assert call("logs", "whole", "prompts", "--rank", "3")[2] == "no line names rank 3; ranks: 0, 1\n"
    assert call("logs", "whole", "prompts", "--rank", "1")[1] == "y\n"
    assert call("logs", "broken", "rl/handover")[2] == "runs/broken: no step of it has begun, so it has no log\n"


def test_following_ends_when_the_run_ends(here: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is added is shown, across steps and attempts."""
    directory = make_run(here / "runs" / "mine", "rl/train", "started").directory
    hold(directory)
    log = directory / "stages/rl/train/log"

    def attempt() -> None:
        with log.open("a") as file:
            file.write("unfinished")

    def resume() -> None:
        with log.open("a") as file:
            file.write(" line\n--- attempt 2, 2026-11-28T07:00:00+00:00\nagain\n")

    def finish() -> None:
        write_step(directory / "stages/rl/train", "complete")
        log.write_text(log.read_text() + "the log was replaced\n")
        write_step(directory / "stages/rl/export-model", "complete")
        (directory / "owner").unlink()

    happens = iter([attempt, resume, finish])
    monkeypatch.setattr("time.sleep", lambda _: next(happens)())
    code, out, _ = call("logs", "mine", "-f")
    lines = shown(out)
    assert code == 0 and next(happens, None) is None
    assert lines[lines.index("unfinished line") :] == [
        "unfinished line",
        "== rl/train, attempt 2",
        "again",
        *lines[lines.index("again") + 1 : -2],
        "== rl/export, attempt 1",
        "hello from export-model",
    ]


def test_following_a_stage_ends_with_the_stage(here: Path, call: Call) -> None:
    directory = make_run(here / "runs" / "mine", "rl/train", "started").directory
    hold(directory)
    assert call("logs", "mine", "sft", "-f")[0] == 0


def test_ctrl_c_ends_without_a_message(here: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    hold(make_run(here / "runs" / "mine", "rl/train", "started").directory)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    code, _, err = call("logs", "mine", "-f")
    assert (code, err) == (130, "")
