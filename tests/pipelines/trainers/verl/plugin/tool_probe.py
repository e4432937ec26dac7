"""Run in verl's environment by test_interpreter.py: replies of the tool in verl's agent loop, one JSON line per attempt.

`python tool_probe.py FOLDER`. FOLDER has the rendered files of three tools: stateless, stateful and unreachable.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from verl.experimental.agent_loop.tool_agent_loop import AgentState
from verl.experimental.agent_loop.tool_parser import FunctionCall, ToolParser
from verl.tools.tool_registry import load_all_tools

from pipelines.trainers.verl.plugin.tool_agent import SeededToolAgent
from pipelines.trainers.verl.plugin.tool_usage import OPENINGS
from rewards.builtin.interpreter_tool import ARGUMENT, NAME, USAGE_KEY
from rewards.sandbox import close_all

FOLDER = Path(sys.argv[1])
LONGEST = 500


def load(name: str) -> list[Any]:
    return list(load_all_tools(str(FOLDER / name / "tool.yaml"), None))


class Scripted(SeededToolAgent):
    """verl's loop with a scripted model; the calls are real."""

    def __init__(self, tools: list[Any], calls: list[Any]) -> None:
        self.rollout_config = SimpleNamespace(seed=17, full_determinism=False)
        self.tokenizer = Letters()
        self.tools = {tool.name: tool for tool in tools}
        self.tool_schemas: list[Any] = []
        self.max_tool_response_length, self.tool_response_truncate_side = LONGEST, "middle"
        self.response_length = 8
        self.calls = list(calls)
        self.replies: list[str] = []
        self.seeds: set[int] = set()
        self.temperatures: list[Any] = []
        self.proceed = asyncio.Event()  # gates the calls after the first
        self.proceed.set()

    async def process_multi_modal_info(self, messages: Any) -> dict[str, Any]:
        return {}

    def _get_mm_processor_kwargs(self, audios: Any) -> None:
        return None

    async def _handle_pending_state(self, agent_data: Any, sampling_params: Any) -> Any:
        agent_data.prompt_ids, agent_data.response_mask = [1, 2], [1]
        return AgentState.GENERATING

    async def _handle_generating_state(self, agent_data: Any, sampling_params: Any) -> Any:
        self.seeds.add(sampling_params["seed"])
        self.temperatures.append(sampling_params.get("temperature"))
        return AgentState.PROCESSING_TOOLS if self.calls else AgentState.TERMINATED

    async def _handle_processing_tools_state(self, agent_data: Any) -> Any:
        if self.replies:
            await self.proceed.wait()
        call = self.calls.pop(0)
        calls = call if isinstance(call, list) else [call]
        answers = await asyncio.gather(*(self._call_tool(each, {}, agent_data) for each in calls))
        self.replies += [response.text for response, _, _ in answers]
        return AgentState.GENERATING


def call(code: Any, name: str = NAME) -> FunctionCall:
    return FunctionCall(name=name, arguments=json.dumps({ARGUMENT: code}))


async def talk(tools: list[Any], *calls: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the replies and the usage."""
    agent = Scripted(tools, [call(each) if isinstance(each, str) else each for each in calls])
    output = await agent.run({}, raw_prompt=[], global_steps=1, index=2, session_id=3)
    counted = dict(output.extra_fields[USAGE_KEY])
    del counted["last_turn"]
    counted["took_time"] = counted.pop("seconds") > 0
    assert len(agent.seeds) == 1
    return agent.replies, counted


async def stateless() -> Any:
    return await talk(load("stateless"), "x = 20\nprint(x)", "print(x)", "def f():\n    return 1 / 0\nf()")


async def greedy() -> Any:
    """Return the temperatures of the turns of a greedy response and of a sample."""
    found = []
    for session in (3, 2):
        agent = Scripted(load("stateless"), [call("print(1)")])
        await agent.run({"temperature": 0.7}, raw_prompt=[], greedy_session=3, session_id=session)
        found.append(agent.temperatures)
    return found


async def stateful() -> Any:
    return await talk(load("stateful"), "x = 20", "x += 1\nraise KeyError('k')", "x", [call("x += 1"), call("x")])


async def endless() -> Any:
    return await talk(load("stateful"), "x = 1", "while True: pass", "import time\ntime.sleep(60)", "x")


async def gigabyte() -> Any:
    return await talk(load("stateless"), "for _ in range(10**6):\n    print('a' * 1000)", "print('b' * 3000 + 'the end')")


async def bad_arguments() -> Any:
    calls = ['{"code": ', '"print(1)"', "{}", '{"source": "1"}', '{"code": 1}', '{"code": " "}']
    given = [FunctionCall(name=NAME, arguments=each) for each in calls]
    return await talk(load("stateless"), *given, call("print(1)", name="python"))


async def unreachable() -> Any:
    return await talk(load("unreachable"), "print(1)")


async def sessions_end() -> Any:
    """Return whether a session has processes, and whether they end with its response, finished or cancelled."""
    tools = load("stateful")
    await talk(tools, "print(1)")
    found = {}
    for name, last in (("finished", "print(2)"), ("cancelled", "import time\ntime.sleep(600)")):
        before = descendants()
        agent = Scripted(tools, [call("x = 1"), call(last)])
        agent.proceed.clear()
        task = asyncio.create_task(agent.run({}, raw_prompt=[]))
        while not agent.replies and not task.done():
            await asyncio.sleep(0.01)
        during = descendants() - before
        agent.proceed.set()
        if name == "cancelled":
            while agent.calls and not task.done():
                await asyncio.sleep(0.01)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        found[name] = [bool(during), task.cancelled(), len(await wait_for_end(during))]
    return found


async def many() -> Any:
    tools = load("stateful")
    talks = await asyncio.gather(*(talk(tools, f"x = {each}", "x * x") for each in range(64)))
    return [replies for replies, _ in talks] == [["[nothing was printed]", str(each * each)] for each in range(64)]


def descendants() -> set[int]:
    """Return the descendants of this process."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found, waiting = set[int](), {os.getpid()}
    while waiting:
        waiting = {child for child, parent in parents.items() if parent in waiting}
        found |= waiting
    return found


async def wait_for_end(processes: set[int]) -> set[int]:
    """Return those that are still running after two minutes."""
    for _ in range(1200):
        if not processes & descendants():
            break
        await asyncio.sleep(0.1)
    return processes & descendants()


class Letters:
    """A tokenizer whose tokens are characters."""

    pad_token = "\0"

    def decode(self, ids: list[int], **_: Any) -> str:
        return "".join(map(chr, ids))

    def convert_tokens_to_ids(self, token: str) -> int:
        return -1


async def parsers() -> Any:
    """Return the result of each of verl's parsers for a call in its format, or None.

    The result is the calls, the tool's replies, and whether the call contains the known opening of this format.
    """
    code = json.loads((FOLDER / "code.json").read_text(encoding="utf-8"))
    quoted = json.dumps({ARGUMENT: code}, ensure_ascii=False)
    tag = "\uff5cDSML\uff5c"
    formats = {
        "hermes": f'<tool_call>\n{{"name": "{NAME}", "arguments": {quoted}}}\n</tool_call>',
        "qwen3_coder": f"<tool_call>\n<function={NAME}>\n<parameter={ARGUMENT}>\n{code}\n</parameter>\n</function></tool_call>",
        "gpt-oss": f"<|start|>assistant<|channel|>commentary to=functions.{NAME} <|constrain|>json<|message|>{quoted}<|call|>",
        "glm": f"<tool_call>{NAME}\n<arg_key>{ARGUMENT}</arg_key>\n<arg_value>{code}</arg_value>\n</tool_call>",
        "seed": f"<seed:tool_call><function={NAME}><parameter={ARGUMENT}>{code}</parameter></function></seed:tool_call>",
        "minimax": f'<minimax:tool_call><invoke name="{NAME}"><parameter name="{ARGUMENT}">{code}</parameter></invoke>'
        "</minimax:tool_call>",
        "kimi": f"<|tool_calls_section_begin|><|tool_call_begin|>functions.{NAME}:0<|tool_call_argument_begin|>{quoted}"
        "<|tool_call_end|><|tool_calls_section_end|>",
        "deepseek_v4": f'<{tag}tool_calls><{tag}invoke name="{NAME}"><{tag}parameter name="{ARGUMENT}" string="true">{code}'
        f"</{tag}parameter></{tag}invoke></{tag}tool_calls>",
        "gemma4": f'<|tool_call>call:{NAME}{{{ARGUMENT}:<|"|>{code}<|"|>}}<tool_call|>',
    }
    found: dict[str, Any] = dict.fromkeys(ToolParser._registry)
    schemas = [tool.tool_schema for tool in load("stateless")]
    for name, text in formats.items():
        parser = ToolParser.get_tool_parser(name, Letters())
        _, calls = await parser.extract_tool_calls([ord(each) for each in text], schemas)
        replies, _ = await talk(load("stateless"), *calls)
        found[name] = [[[each.name, json.loads(each.arguments)] for each in calls], replies, OPENINGS.get(name, "none") in text]
    return found


async def schema() -> Any:
    """Return the schema that verl passes to the chat template."""
    return [tool.tool_schema.model_dump(exclude_unset=True, exclude_none=True) for tool in load("stateful")]


async def step_metrics() -> Any:
    """Return the metrics of four responses, one of them padding, without the trainer's own metrics."""
    import transfer_queue
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer
    from verl.utils.tensordict_utils import list_of_dict_to_tensordict

    from pipelines.trainers.verl.plugin import overrides

    used = [{"calls": 2, "malformed": 0, "cut": 0, "errors": 1, "timeouts": 0, "failures": 0, "seconds": 0.5} for _ in range(3)]
    fields = [{"extra_fields": {USAGE_KEY: each, "turn_scores": []}} for each in used]
    fields.append({"extra_fields": {"turn_scores": []}})
    transfer_queue.kv_batch_get = lambda **_: list_of_dict_to_tensordict(fields)
    overridden = PPOTrainer._compute_metrics.__module__ == overrides.__name__
    PPOTrainer._compute_metrics = lambda self, batch, metrics, timing_raw, global_steps, epoch: metrics.update(epoch=epoch)
    overrides.log_tool_calls()
    turns = SimpleNamespace(tool_config_path="tool.yaml")
    config = SimpleNamespace(actor_rollout_ref=SimpleNamespace(rollout=SimpleNamespace(multi_turn=turns)))
    tags = [{"is_padding": True}, {}, {}, {}]
    batch = SimpleNamespace(keys=["a", "b", "c", "d"], partition_id="train", tags=tags)
    metrics: dict[str, float] = {}
    PPOTrainer._compute_metrics(SimpleNamespace(config=config), batch, metrics, {}, global_steps=1, epoch=7)
    return {"overridden": overridden, "metrics": metrics}


ATTEMPTS: tuple[Callable[[], Awaitable[Any]], ...] = (
    stateless,
    greedy,
    stateful,
    endless,
    gigabyte,
    bad_arguments,
    unreachable,
    sessions_end,
    many,
    parsers,
    schema,
    step_metrics,
)


async def main() -> None:
    for action in ATTEMPTS:
        try:
            outcome = {"value": await action()}
        except Exception as error:
            outcome = {"error": repr(error)}
        print(json.dumps({"name": action.__name__, **outcome}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
    close_all()
