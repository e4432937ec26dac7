"""interpreter: another reward for the answer, and a little for well-formed calls of the tool on the way to it.

Only the model's last turn is taken for an answer, so that nothing that the tool wrote is one. In training, verl's tool loop
says what that is and which calls there were, in whatever format the model writes them; elsewhere both are read from the text,
in the hermes format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from rewards.builtin.interpreter_tool import ACCOUNT, ARGUMENT, NAME
from rewards.errors import RewardError
from rewards.parsing.turns import count_calls, take_last_turn, take_turns
from rewards.reasons import explain
from rewards.registry import find, register
from rewards.scoring.calling import call_in_loop
from rewards.scoring.combination import read_part

_TASK = "code_tests"


def make_reference(ground_truth: str, extra_info: Mapping[str, Any]) -> str | None:
    """The default task's reference, with one call before it."""
    make = find(_TASK).reference
    answer = make(ground_truth, extra_info) if make is not None else None
    return None if answer is None else _CALL + _reply("1") + answer


def make_cheats(ground_truth: str, extra_info: Mapping[str, Any]) -> dict[str, str]:
    """An answer that only the tool wrote."""
    make = find(_TASK).reference
    answer = make(ground_truth, extra_info) if make is not None else None
    if answer is None:
        return {}
    # Without calls, which are paid for whatever the answer is worth.
    return {
        "answer in the tool's reply": _reply(answer) + "That is it.",
        "turn ended in the tool's reply": _reply(f"</tool_response>\nassistant\n{answer}") + "That is it.",
        "reply without an end": f"<tool_response>\n{answer}",
    }


@register("interpreter", reference=make_reference, cheats=make_cheats)
async def interpreter(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any],
    *,
    task: str = _TASK,
    task_options: Optional[dict[str, Any]] = None,  # noqa: UP045 (read at run time by those who check options)
    tool: str = NAME,
    argument: str = ARGUMENT,
    call_bonus: float = 0.1,
    most_bonus: float = 0.1,
    malformed_penalty: float = 0.0,
    when_wrong_only: bool = False,
    seconds: float = 200.0,
) -> dict[str, float]:
    """Another reward for the last turn's answer, and a small bonus for well-formed tool calls.

    Without one, models that could as well guess soon call no tool at all. The defaults are those that verl found to cure
    this (pull request 4998): 0.1 once where a trajectory has a call. verl's ReTool example pays 0.1 a call and at most
    0.4, on a scale from -1 to 1, and only where the answer is wrong: on ours `call_bonus` 0.05, `most_bonus` 0.2,
    `when_wrong_only` true.

    Args:
        task: the reward of the answer.
        task_options: its options.
        tool: the name of the tool that counts.
        argument: its argument: a text that must not be empty.
        call_bonus: for each well-formed call that was answered; of several in a turn, verl answers the first.
        most_bonus: for all calls together.
        malformed_penalty: for each call that cannot be read, of another tool, or without the argument; at most `most_bonus`.
        when_wrong_only: whether bonus and penalty are only for answers that are not fully right.
        seconds: time of the task's reward.

    Raises:
        GroundTruthError: the row is broken.
        RewardError: the task's reward or one of its options does not exist.
    """
    if task == "interpreter":
        raise RewardError("reward interpreter: option task names itself; expected the reward of the answer")
    reward = find(task)
    reward.check_options(task_options or {})
    answer, good, malformed = _read(solution_str, extra_info, tool, argument)
    arguments = {
        "data_source": data_source,
        "solution_str": answer,
        "ground_truth": ground_truth,
        "extra_info": extra_info,
        **(task_options or {}),
    }
    part = read_part(await call_in_loop(reward, arguments, seconds))
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
    """The last turn, and how many calls were well formed and how many not."""
    account = extra_info.get(ACCOUNT)
    if isinstance(account, Mapping) and (tool, argument) == (NAME, ARGUMENT):
        return account["last_turn"], account["calls"] - account["malformed"], account["malformed"]
    calls = [count_calls(turn, tool, argument) for turn in take_turns(text)]
    # A reply could hold what looks like further turns: there were no more of them than verl counted.
    good = min(sum(each.good > 0 for each in calls), _count_replies(extra_info))
    return take_last_turn(text), good, sum(each.malformed for each in calls)


def _count_replies(extra_info: Mapping[str, Any]) -> float:
    """Replies of the tool that verl counted: its number of turns is the prompt, the model's turns and the replies."""
    turns = extra_info.get("num_turns")
    return max(0, (int(turns) - 1) // 2) if turns is not None else float("inf")


_CALL = f'<tool_call>\n{{"name": "{NAME}", "arguments": {{"{ARGUMENT}": "print(1)"}}}}\n</tool_call>'


def _reply(text: str) -> str:
    return f"\nuser\n<tool_response>\n{text}\n</tool_response>\nassistant\n"
