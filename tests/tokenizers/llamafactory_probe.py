"""Run in LLaMA-Factory's environment by test_recipes.py: the tokens that it gives to rows.

`python llamafactory_probe.py REQUEST.json`. The request is a list of cases (see `test_recipes.Case`). Prints a JSON line for
each: the tokens and the loss mask of conversations, or the tokens of prompts by its template, and the lengths by our count.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.data.template import TEMPLATES
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer

from pipelines.trainers.llamafactory.prompts import compare_templates
from tests.tokenizers.counts import count, load, skip_fingerprints

_tokenizers: dict[tuple[str, str], dict[str, Any]] = {}


def encode_conversations(case: Mapping[str, Any]) -> dict[str, Any]:
    settings = yaml.safe_load(Path(case["folder"], "train.yaml").read_text()) if case["trainer"] == "llamafactory" else {}
    settings |= {
        "model_name_or_path": case["model"],
        "stage": "sft",
        "do_train": True,
        "template": case["template"],
        "cutoff_len": case["limit"],
        "dataset_dir": str(Path(case["file"]).parent),
        "dataset": "train",
        "output_dir": f"{case['folder']}/out",
        "overwrite_cache": True,
        "use_cpu": True,
        "enable_thinking": case["thinking"],
        "preprocessing_num_workers": None,
    }
    settings = {key: value for key, value in settings.items() if key not in ("deepspeed", "bf16")}
    model, data, training, _, _ = get_train_args(settings)
    # A template changes its tokenizer, to the same one each time.
    key = (case["model"], case["template"])
    tokenizer = _tokenizers[key] = _tokenizers.get(key) or load_tokenizer(model)
    template = get_template_and_fix_tokenizer(tokenizer["tokenizer"], data)
    notes = compare_templates(template, tokenizer["tokenizer"], case["template"], case["file"], case["arguments"])
    rows = get_dataset(template, model, data, training, stage="sft", **tokenizer)["train_dataset"]
    tokens = [[row["input_ids"], [int(label != -100) for label in row["labels"]]] for row in rows]
    return {"rows": tokens, "notes": notes}


def encode_prompts(case: Mapping[str, Any]) -> dict[str, Any]:
    template, tokenizer = TEMPLATES[case["template"]], load(case["model"])
    template.enable_thinking = case["thinking"]
    rows = []
    for row in pq.read_table(case["file"]).to_pylist():
        turns = [{"role": each["role"], "content": each["content"]} for each in row["prompt"]]
        system = turns.pop(0)["content"] if turns[0]["role"] == "system" else None
        tools = [case["lengths"]["tools"][name] for name in row["extra_info"]["tool_selection"]]
        answer = {"role": "assistant", "content": ""}
        prompt, _ = template.encode_oneturn(tokenizer, [*turns, answer], system, json.dumps(tools) if tools else None)
        rows.append([row["extra_info"]["id"], prompt])
    return {"rows": rows}


def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    skip_fingerprints()
    for case in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        found = encode_conversations(case) if case["kind"] == "sft" else encode_prompts(case)
        print(json.dumps({**found, "counted": count(case["lengths"], case["file"])}), file=out, flush=True)


if __name__ == "__main__":
    main()
