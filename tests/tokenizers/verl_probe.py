"""Run in verl's environment by test_recipes.py: the tokens that it gives to rows.

`python verl_probe.py REQUEST.json`, as llamafactory_probe.py. Prompts are those of the agent loops, after the data set has left
out long ones.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict
from transformers import AutoConfig
from verl.experimental.agent_loop.agent_loop import DictConfigWrap, ToolListWrap
from verl.tools.tool_registry import load_all_tools
from verl.trainer.ppo.utils import create_rl_dataset
from verl.trainer.sft_trainer import create_sft_dataset
from verl.utils import hf_tokenizer as load_tokenizer
from verl.workers.rollout.replica import TokenOutput

from pipelines.trainers.verl.plugin.agent_loop import SeededSingleTurn
from pipelines.trainers.verl.plugin.sft_rows import SftRows
from pipelines.trainers.verl.plugin.tool_agent import SeededToolAgent
from rewards.sandbox import close_all
from tests.tokenizers.counts import count, skip_fingerprints

hf_tokenizer = functools.cache(load_tokenizer)


class Server:
    """A replacement for verl's inference server that ends every response at once."""

    def __init__(self, end: int) -> None:
        self._end = end

    async def generate(self, **_: Any) -> TokenOutput:
        return TokenOutput(token_ids=[self._end], log_probs=[0.0])


def read_config(case: Mapping[str, Any]) -> Any:
    with initialize_config_dir(case["folder"], version_base=None):
        return compose("train")


def encode_conversations(case: Mapping[str, Any]) -> dict[str, Any]:
    tokenizer = hf_tokenizer(case["model"])
    if case["trainer"] == "verl":
        data = read_config(case).data
        with open_dict(data):
            data.val_files = case["file"]  # in the order of the file
        dataset = create_sft_dataset(case["file"], data, tokenizer, None)
    else:
        data = {"max_length": case["limit"], "val_files": case["file"], "train_batch_size": 1, "custom_cls": {"seed": 1}}
        data |= {"apply_chat_template_kwargs": case["arguments"]}
        dataset = SftRows(case["file"], tokenizer, OmegaConf.create(data))
    rows = [[dataset[place][key].tolist() for key in ("input_ids", "loss_mask")] for place in range(case["count"])]
    return {"rows": rows}


async def encode_prompts(case: Mapping[str, Any]) -> dict[str, Any]:
    config, tokenizer = read_config(case), hf_tokenizer(case["model"])
    OmegaConf.resolve(config)
    with open_dict(config.data):
        config.data.filter_overlong_prompts_workers = None
    tools = config.actor_rollout_ref.rollout.multi_turn.tool_config_path
    shared = {
        "trainer_config": DictConfigWrap(config),
        "server_manager": Server(tokenizer.eos_token_id),
        "tokenizer": tokenizer,
        "processor": None,
        "hf_model_type": AutoConfig.from_pretrained(case["model"]).model_type,
        "dataset_cls": None,
        "data_config": DictConfigWrap(config.data),
    }
    agents = {"single_turn_agent": SeededSingleTurn(**shared)}
    if tools:
        agents["tool_agent"] = SeededToolAgent(**shared, tools=ToolListWrap(load_all_tools(tools, None)))
    dataset = create_rl_dataset(case["file"], config.data, tokenizer, None, is_train=True)
    rows = []
    for row in (dataset[place] for place in range(len(dataset))):
        output = await agents[row["agent_name"]].run({}, raw_prompt=row["raw_prompt"], extra_info=row["extra_info"])
        rows.append([row["extra_info"]["id"], output.prompt_ids])
    return {"rows": rows}


async def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    skip_fingerprints()
    for case in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        found = encode_conversations(case) if case["kind"] == "sft" else await encode_prompts(case)
        print(json.dumps({**found, "counted": count(case["lengths"], case["file"])}), file=out, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
    close_all()
