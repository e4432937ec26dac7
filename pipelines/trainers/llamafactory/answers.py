"""Validate stages with LLaMA-Factory 0.9.5: `python -m pipelines.trainers.llamafactory.answers REQUEST.json` in its own Python.

It runs LLaMA-Factory's argument parser, its tokenizer with the template, and its data set, which drops rows silently.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.trainers.answering import Answer, Question, main
from pipelines.trainers.llamafactory.prompts import asks_otherwise, compare_templates, count_longer
from pipelines.trainers.lora_targets import check_targets

# Keys that need a GPU; DeepSpeed also needs torchrun (hparams/parser.py; transformers' training_args.py).
_NEEDS_GPU = ("deepspeed", "fp16", "fp8", "pure_bf16", "tf32")


def answer(question: Question, found: Answer) -> None:
    """Complete the answer, or raise LLaMA-Factory's exception."""
    import yaml
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_config, load_tokenizer

    settings = yaml.safe_load(Path(question.folder, "train.yaml").read_text(encoding="utf-8"))
    if isinstance(settings.get("deepspeed"), str):
        json.loads(Path(settings["deepspeed"]).read_text(encoding="utf-8"))
    if question.for_gpu:
        found.untried = [key for key in _NEEDS_GPU if settings.pop(key, None)]
        settings["use_cpu"] = True
    settings["preprocessing_num_workers"] = None  # a few rows need no extra process
    model, data, training, finetuning, _ = get_train_args(settings)
    if finetuning.finetuning_type == "lora" and finetuning.lora_target != ["all"] and not question.stands_in:
        check_targets(load_config(model), finetuning.lora_target)
    tokenizer = load_tokenizer(model)
    before = tokenizer["tokenizer"].chat_template
    template = get_template_and_fix_tokenizer(tokenizer["tokenizer"], data)
    if before and tokenizer["tokenizer"].chat_template != before:
        found.notes.append(f"template {data.template} replaces the model's own chat template in training")
    if question.rows:
        if question.prompts is not None and tokenizer["tokenizer"].chat_template and question.lengths is not None:
            file = question.lengths["files"]["train"]
            different = compare_templates(template, tokenizer["tokenizer"], data.template, file, question.prompts)
            # A tiny model like another one may have the chat template of Qwen2.5 instead.
            alike = bool((question.make or {}).get("like"))
            if different and not alike and asks_otherwise(template, tokenizer["tokenizer"], file, question.prompts):
                found.problem = different.pop()
            found.notes += different
        rows = get_dataset(template, model, data, training, stage="sft", **tokenizer)["train_dataset"]
        file = str(Path(data.dataset_dir, "train.parquet"))
        all_read = len(rows) == question.rows and not data.packing
        cut = count_longer(template, tokenizer["tokenizer"], file, data.cutoff_len) if all_read else 0
        _describe_rows(rows, data, question, found, cut)


def _describe_rows(rows: Any, data: Any, question: Question, found: Answer, cut: int) -> None:
    if data.packing:
        found.facts.append(f"{question.rows:,} rows packed into {len(rows):,}")
        return
    labels = [sum(label != -100 for label in labels) for labels in rows["labels"]]
    unlabelled = labels.count(0)
    # The token counts of a stand-in model do not apply.
    counted = "" if question.stands_in else f", {unlabelled:,} without a label, {cut:,} cut at {data.cutoff_len:,} tokens"
    found.facts.append(f"{len(rows):,} of {question.rows:,} rows are accepted{counted}")
    if len(rows) < question.rows:
        found.problem = f"it drops {question.rows - len(rows):,} of {question.rows:,} rows: unsupported roles or turns"
    elif cut and question.lengths is not None and question.lengths.get("fitting"):
        found.notes.append(
            f"{cut:,} rows fit by the model's chat template and are longer by template {data.template}: they are cut"
        )
    if unlabelled and not question.stands_in:
        found.notes.append(
            f"{unlabelled:,} of {question.rows:,} rows have no token to train on: their prompts fill {data.cutoff_len:,} tokens"
        )


if __name__ == "__main__":
    main(answer)
