"""Run in verl's environment by test_tool_tokens.py: conversations with the tool in verl's agent loop, with scripted turns.

`python tokens_probe.py FOLDER MODEL`. FOLDER has train.yaml, `<mode>/tool.yaml` for each mode of the tool, and
conversations.json, a list of {mode, prompt, turns, settings}: messages, each turn of the model as tokens or as text without
its end-of-turn token, and settings of the rollout. Prints a JSON line for each: the tokens of prompt and response, the
response's mask, and the usage for rewards and metrics.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import verl
from omegaconf import OmegaConf
from transformers import AutoConfig, AutoTokenizer
from verl.experimental.agent_loop.agent_loop import DictConfigWrap, ToolListWrap
from verl.tools.tool_registry import load_all_tools
from verl.workers.rollout.replica import TokenOutput

from pipelines.trainers.verl.plugin.tool_agent import SeededToolAgent
from rewards.builtin.interpreter_tool import NAME, USAGE_KEY
from rewards.sandbox import close_all

FOLDER, MODEL = Path(sys.argv[1]), sys.argv[2]


class Server:
    """A scripted replacement for verl's inference server."""

    def __init__(self, turns: list[list[int]], longest: int) -> None:
        self._turns, self._longest = turns, longest

    async def generate(self, prompt_ids: list[int], sampling_params: Mapping[str, Any], **_: Any) -> TokenOutput:
        """Return the next turn, truncated to the remaining length."""
        tokens = self._turns.pop(0)[: self._longest - len(prompt_ids)]
        return TokenOutput(token_ids=tokens, log_probs=[-0.5] * len(tokens))


async def talk(config: Any, tokenizer: Any, conversation: Mapping[str, Any]) -> dict[str, Any]:
    config = OmegaConf.merge(config, {"actor_rollout_ref": {"rollout": conversation.get("settings", {})}})
    rollout = config.actor_rollout_ref.rollout
    turns = [tokenizer(f"{each}<|im_end|>").input_ids if isinstance(each, str) else each for each in conversation["turns"]]
    agent = SeededToolAgent(
        trainer_config=DictConfigWrap(config),
        server_manager=Server(turns, rollout.prompt_length + rollout.response_length),
        tokenizer=tokenizer,
        processor=None,
        hf_model_type=AutoConfig.from_pretrained(MODEL).model_type,
        dataset_cls=None,
        data_config=DictConfigWrap(config.data),
        tools=ToolListWrap(load_all_tools(str(FOLDER / conversation["mode"] / "tool.yaml"), None)),
    )
    output = await agent.run({}, raw_prompt=conversation["prompt"], extra_info={"tool_selection": [NAME]})
    assert len(output.response_logprobs) == len(output.response_mask)
    return {
        "prompt": output.prompt_ids,
        "response": output.response_ids,
        "mask": output.response_mask,
        "text": tokenizer.decode(output.response_ids, skip_special_tokens=True),
        "account": output.extra_fields[USAGE_KEY],
        "turns": output.num_turns,
    }


async def main() -> None:
    defaults = OmegaConf.load(Path(verl.__file__).parent / "trainer/config/_generated_ppo_trainer.yaml")
    config = OmegaConf.merge(defaults, OmegaConf.load(FOLDER / "train.yaml"))
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    for conversation in json.loads((FOLDER / "conversations.json").read_text(encoding="utf-8")):
        print(json.dumps(await talk(config, tokenizer, conversation)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
    close_all()
