"""interpreter: another reward for the answer, and a small bonus for well-formed tool calls.

Only the model's last turn is scored as the answer, so nothing that the tool wrote counts. In training, verl's tool loop
reports the last turn and the calls, in any format of calls. Elsewhere, both are parsed from the text in the hermes format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from rewards.builtin import code_tests
from rewards.builtin.interpreter_tool import ARGUMENT, NAME, USAGE_KEY
from rewards.builtin.option_ranges import check_ranges
from rewards.errors import RewardError
from rewards.parsing.turns import count_calls, take_last_turn, take_turns
from rewards.plugins.loading import load
from rewards.plugins.options import read_options
from rewards.reasons import explain
from rewards.registry import Reward, register
from rewards.scoring.combination import read_part

_CALL = f'<tool_call>\n{{"name": "{NAME}", "arguments": {{"{ARGUMENT}": "print(1)"}}}}\n</tool_call>'


def make_reference(ground_truth: str, extra_info: Mapping[str, Any]) -> str | None:
    """Return the reference of code_tests after one call."""
    answer = code_tests.make_reference(ground_truth, extra_info)
    return None if answer is None else _CALL + _reply("1") + answer


def make_cheats(ground_truth: str, extra_info: Mapping[str, Any]) -> dict[str, str]:
    """Return responses in which only the tool wrote the answer. They have no calls, which earn a bonus in any response."""
    answer = code_tests.make_reference(ground_truth, extra_info)
    if answer is None:
        return {}
    return {
        "answer in the tool's reply": _reply(answer) + "That is it.",
        "turn ended in the tool's reply": _reply(f"</tool_response>\nassistant\n{answer}") + "That is it.",
        "unterminated reply": f"<tool_response>\n{answer}",
    }


def check_options(options: Mapping[str, Any]) -> None:
    """Check the numbers, the task's reward and its options.

    Raises:
        ValueError: An option has a value that cannot work.
        RewardError: The task's reward or one of its options does not exist.
    """
    check_ranges(options)
    if not options["tool"] or not options["argument"]:
        raise ValueError("options tool and argument are names, found an empty text")
    if options["call_bonus"] > options["most_bonus"]:
        raise ValueError(f"option call_bonus is {options['call_bonus']:g}, more than most_bonus {options['most_bonus']:g}")
    _load_task(options["task"], options["task_options"])


def _load_task(task: str, options: Mapping[str, Any] | None) -> tuple[Reward, dict[str, Any]]:
    if task == "interpreter":
        raise RewardError("reward interpreter: option task names itself; expected the reward of the answer")
    reward = load(task)
    return reward, read_options(reward, options or {})


@register("interpreter", reference=make_reference, cheats=make_cheats, free=code_tests.make_free, check=check_options)
async def interpreter(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any],
    *,
    task: str = "code_tests",
    task_options: Optional[dict[str, Any]] = None,  # noqa: UP045 (read at run time by the check of options)
    tool: str = NAME,
    argument: str = ARGUMENT,
    call_bonus: float = 0.1,
    most_bonus: float = 0.1,
    malformed_penalty: float = 0.0,
    when_wrong_only: bool = False,
    seconds: float = 200.0,
) -> dict[str, float]:
    """Score the last turn with another reward, and add a small bonus for well-formed tool calls.

    Without a bonus, models that can guess the answer soon stop calling the tool. verl found that 0.1, once per trajectory
    with a call, prevents this (pull request 4998); these are the defaults. verl's ReTool example adds 0.1 per call, at most
    0.4, on a scale from -1 to 1, and only for wrong answers. On this reward's scale that is `call_bonus` 0.05, `most_bonus`
    0.2, `when_wrong_only` true.

    Args:
        task: Reward of the answer.
        task_options: Options of that reward.
        tool: Name of the tool to count.
        argument: Argument of the tool, a non-empty string.
        call_bonus: Bonus for each well-formed, answered call. verl answers the first call of a turn.
        most_bonus: Maximum bonus.
        malformed_penalty: Penalty for each unreadable call, call of another tool or without the argument, up to `most_bonus`.
        when_wrong_only: Apply bonus and penalty only to answers that are not fully right.
        seconds: Time limit of the task's reward.

    Raises:
        GroundTruthError: The row is invalid.
        RewardError: The task's reward or one of its options does not exist.
    """
    reward, options = _load_task(task, task_options)
    answer, good, malformed = _read(solution_str, extra_info, tool, argument)
    row = {"data_source": data_source, "solution_str": answer, "ground_truth": ground_truth, "extra_info": extra_info}
    from rewards.scoring.calling import call_in_loop

    part = read_part(await call_in_loop(reward, row | options, seconds))
    accuracy = part.score if part.accuracy is None else part.accuracy
    shaping = min(most_bonus, call_bonus * good) - min(most_bonus, malformed_penalty * malformed)
    if when_wrong_only and accuracy >= 1.0:
        shaping = 0.0
    if shaping:
        explain("{} well-formed calls, {} malformed calls: {}", good, malformed, f"{shaping:+.3g}")
    return {
        "score": part.score + shaping,
        "accuracy": accuracy,
        "format": part.format or 0.0,
        "tool_calls": float(good),
        "malformed_calls": float(malformed),
    }


def _read(text: str, extra_info: Mapping[str, Any], tool: str, argument: str) -> tuple[str, float, float]:
    """Return the last turn, and the numbers of well-formed and of malformed calls."""
    usage = extra_info.get(USAGE_KEY)
    if isinstance(usage, Mapping) and (tool, argument) == (NAME, ARGUMENT):
        return usage["last_turn"], usage["calls"] - usage["malformed"], usage["malformed"]
    calls = [count_calls(turn, tool, argument) for turn in take_turns(text)]
    # A tool's reply may contain text that looks like further turns, so count at most the replies that verl counted. Its
    # number of turns includes the prompt, the model's turns and the replies.
    turns = extra_info.get("num_turns")
    replies = max(0, (int(turns) - 1) // 2) if turns is not None else float("inf")
    return take_last_turn(text), min(sum(good > 0 for good, _ in calls), replies), sum(malformed for _, malformed in calls)


def _reply(text: str) -> str:
    return f"\nuser\n<tool_response>\n{text}\n</tool_response>\nassistant\n"
