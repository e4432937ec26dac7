"""LLaMA-Factory 0.9.5 as the trainer of supervised stages (`pipelines.trainers.base.Trainer`)."""

from __future__ import annotations

import math
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from pipelines.errors import StepError
from pipelines.recipe import deepspeed
from pipelines.recipe.schema import Hardware, SftStage
from pipelines.trainers.base import (
    HEADLINES,
    Context,
    DiskUsage,
    Launch,
    Progress,
    Result,
    StagePaths,
    best_note,
    count_rows,
    progress_of,
    rows_folder,
    to_yaml,
)
from pipelines.trainers.checkpoint_files import NOT_WRITTEN, find_damage
from pipelines.trainers.metric_lines import read_steps
from pipelines.trainers.several_nodes import on_each_node
from preprocess import atomic

ANSWERS = "pipelines.trainers.llamafactory.answers"

# Shown next to the progress bar: name, LLaMA-Factory's metric.
_SHOWN = (HEADLINES["sft", "llamafactory"], ("eval_loss", "eval_loss"), ("lr", "lr"))


def launch(stage: SftStage, context: Context) -> Launch:
    """Render `llamafactory-cli train` with one YAML file.

    The same command resumes from the newest checkpoint in output_dir (hparams/parser.py, v0.9.5).
    """
    hardware = context.recipe.hardware_of(stage)
    launch = _command("train", _training(stage, context), f"supervised fine-tuning, stage {stage.name}", context, hardware)
    return launch if hardware.nodes == 1 else on_each_node(launch, context, hardware)


def export(stage: SftStage, context: Context) -> Launch | None:
    """Render `llamafactory-cli export`, which merges adapters; a fully trained model needs no export."""
    if stage.lora is None:
        return None
    settings: dict[str, Any] = {
        "model_name_or_path": context.model,
        "adapter_name_or_path": str(context.paths.checkpoint),
        "template": stage.template,
        "trust_remote_code": False,
        "finetuning_type": "lora",
        "export_dir": str(context.paths.export),
        "export_size": 5,
        "export_device": "cpu",
        "export_legacy_format": False,
    }
    title = f"adapters merged into the model, stage {stage.name}"
    return _command("export", settings, title, context, context.recipe.hardware_of(stage))


def _command(name: str, settings: dict[str, Any], title: str, context: Context, hardware: Hardware) -> Launch:
    return Launch(
        argv=(str(context.python), "-m", "llamafactory.cli", name, f"{name}.yaml"),
        environment=_environment(context, hardware),
        files={f"{name}.yaml": to_yaml(settings, f"LLaMA-Factory: {title}")},
    )


def disk_usage(stage: SftStage, context: Context, parameters: int) -> DiskUsage:
    """Trained weights and both of AdamW's averages have 32 bits; with LoRA only the adapters are saved.

    DeepSpeed trains a 16-bit copy of its 32-bit weights and saves both, and the gathered 16-bit model besides
    (model/adapter.py `init_adapter`; examples/deepspeed `stage3_gather_16bit_weights_on_model_save`).
    """
    if stage.lora is not None:
        # Per rank, the adapters of all linear layers of a 7B model have 0.033 % of its parameters.
        return DiskUsage(checkpoint=round(12 * parameters * 0.00033 * stage.lora.rank), export=2 * parameters)
    if context.platform == "cuda" and stage.llamafactory.get("deepspeed"):
        return DiskUsage(checkpoint=16 * parameters, export=2 * parameters)
    return DiskUsage(checkpoint=12 * parameters, export=4 * parameters)


def checkpoints(paths: StagePaths) -> dict[int, Path]:
    """Return the complete checkpoints by their steps: transformers writes trainer_state.json last."""
    folders = paths.checkpoints.glob("checkpoint-*")
    complete = (folder for folder in folders if atomic.read_json(folder / "trainer_state.json") is not None)
    return {int(folder.name.rpartition("-")[2]): folder for folder in complete}


def incomplete(paths: StagePaths) -> dict[int, str]:
    """Return the checkpoints that were not written to their end."""
    complete = checkpoints(paths)
    folders = {int(folder.name.rpartition("-")[2]): folder for folder in paths.checkpoints.glob("checkpoint-*")}
    found = {step: find_damage(folder) if step in complete else NOT_WRITTEN for step, folder in folders.items()}
    return {step: reason for step, reason in found.items() if reason}


def before_attempt(stage: SftStage, paths: StagePaths) -> int:
    """Delete incomplete checkpoints, and the whole folder if none is complete; return the step to resume from.

    transformers resumes from the folder with the highest number, complete or not (trainer.py `_save_checkpoint`, 5.5.4).
    """
    for step in incomplete(paths):
        shutil.rmtree(paths.checkpoints / f"checkpoint-{step}")
    complete = checkpoints(paths)
    if not complete and paths.checkpoints.exists():
        # LLaMA-Factory rejects an output_dir that has a model but no checkpoint.
        shutil.rmtree(paths.checkpoints)
    return max(complete, default=0)


def progress(stage: SftStage, paths: StagePaths) -> Progress | None:
    """Return the newest line of trainer_log.jsonl."""
    rows = metrics(stage, paths)
    if not rows:
        return None
    total = rows[-1].get("total_steps")
    return progress_of(rows[-1], int(total) if total else None, _SHOWN)


def metrics(stage: SftStage, paths: StagePaths) -> list[dict[str, float]]:
    """Read trainer_log.jsonl, one mapping per step. A resumed run appends to it; the last line of a step counts."""
    return read_steps([paths.checkpoints / "trainer_log.jsonl"], _to_row)


def _to_row(line: Any) -> dict[str, float]:
    step = line.pop("current_steps")
    if "train_loss" in line or line.get("loss") is line.get("eval_loss") is None:
        line.pop("total_steps", None)  # the final summary repeats the last step
    return {"step": step, **{sys.intern(key): value for key, value in line.items() if isinstance(value, int | float)}}


def result(stage: SftStage, paths: StagePaths) -> Result:
    """Return the folder of the trained model after checking that training finished and used all rows.

    LLaMA-Factory exits with status 0 even if it skipped unreadable rows or truncated every label.
    """
    state = atomic.read_json(paths.checkpoints / "trainer_state.json")
    if state is None:
        raise StepError(f"LLaMA-Factory ended without {paths.checkpoints / 'trainer_state.json'}: training did not finish")
    step, expected = int(state["global_step"]), stage.steps or int(state["max_steps"])
    if step < expected:
        raise StepError(f"LLaMA-Factory ended at step {step} of {expected}")
    losses = [row["loss"] for row in state["log_history"] if "loss" in row]
    if not any(losses):
        raise StepError(
            f"LLaMA-Factory trained on no tokens: the loss is 0 at every step; "
            f"is max_tokens: {stage.max_tokens} shorter than the prompts?"
        )
    best = _check_best(state) if stage.keep_best else ()
    return Result(paths.checkpoints, step, (*best, *_check_rows(stage, paths)))


def _check_best(state: dict[str, Any]) -> tuple[str, ...]:
    """Return the note on the best checkpoint, whose weights LLaMA-Factory has loaded at the end."""
    losses = {int(row["step"]): float(row["eval_loss"]) for row in state["log_history"] if "eval_loss" in row}
    if losses and not any(map(math.isfinite, losses.values())):
        raise StepError("every validation loss is infinite or not a number: the best checkpoint cannot be chosen")
    best, folder = state.get("best_global_step"), state.get("best_model_checkpoint")
    if best not in losses or folder is None or not str(folder).endswith(f"checkpoint-{best}"):
        raise StepError(f"LLaMA-Factory saved no checkpoint at step {best}, the step with the lowest validation loss")
    last = max(losses)
    return (best_note("lowest validation loss", best, losses[best], last, losses[last]),)


def _check_rows(stage: SftStage, paths: StagePaths) -> tuple[str, ...]:
    """Compare the prepared rows with the number that LLaMA-Factory logs; return a note if they cannot be compared."""
    given = _count_given(stage, paths)
    log = (paths.step("train") / "log").read_text(encoding="utf-8", errors="replace")
    logged = re.findall(r"Running training \*+.*?Num examples = ([\d,]+)", log, re.DOTALL)  # evaluations log it too
    if given is None or not logged:
        return ("whether all rows were used is not known: the log has no row count",)
    trained = int(logged[-1].replace(",", ""))
    if stage.packing:
        return (f"{given} rows were packed into {trained} sequences of {stage.max_tokens} tokens",)
    if trained < given:
        raise StepError(f"LLaMA-Factory trained on {trained} of {given} rows; it skips rows with unsupported roles or turns")
    return ()


def _count_given(stage: SftStage, paths: StagePaths) -> int | None:
    if rows_folder(stage, paths) == paths.fitting:
        return count_rows(paths.fitting, "train")
    summary = atomic.read_json(paths.data / "summary.json")
    return None if summary is None else int(summary["rows"]["train"])


def _training(stage: SftStage, context: Context) -> dict[str, Any]:
    cuda, lora = context.platform == "cuda", stage.lora
    upstream = dict(stage.llamafactory)
    if not cuda:
        upstream.pop("deepspeed", None)
    elif upstream.get("deepspeed") in deepspeed.FILES:
        upstream["deepspeed"] = str(context.source / "examples" / "deepspeed" / deepspeed.FILES[upstream["deepspeed"]])
    settings: dict[str, Any] = {
        # model
        "model_name_or_path": context.model,
        "trust_remote_code": False,
        # method
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full" if lora is None else "lora",
        **({} if lora is None else {"lora_rank": lora.rank, "lora_alpha": lora.alpha, "lora_target": lora.target}),
        # data
        "dataset_dir": str(rows_folder(stage, context.paths)),
        "dataset": "train",
        "template": stage.template,
        "cutoff_len": stage.max_tokens,
        # With packing alone, rows of a sequence would attend to each other.
        **({"packing": True, "neat_packing": True} if stage.packing else {}),
        "overwrite_cache": True,
        # Otherwise the first process of each node writes the cache of the rows.
        **({} if context.recipe.hardware_of(stage).nodes == 1 else {"data_shared_file_system": True}),
        "preprocessing_num_workers": 16 if cuda else 1,
        "dataloader_num_workers": 4 if cuda else 0,
        # output
        "output_dir": str(context.paths.checkpoints),
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": stage.save_every or 500,  # transformers' default; without any, a killed run would restart from scratch
        "save_only_model": False,
        "plot_loss": False,
        "report_to": "none",
        # training
        "per_device_train_batch_size": stage.batch.per_device,
        "gradient_accumulation_steps": stage.batch.accumulate,
        "learning_rate": stage.learning_rate,
        "seed": context.recipe.seed,
        "data_seed": context.recipe.seed,
        "bf16": cuda,
        "ddp_timeout": 180000000,
    }
    if stage.keep_checkpoints is not None:
        settings["save_total_limit"] = stage.keep_checkpoints
    settings |= {"max_steps": stage.steps} if stage.steps is not None else {"num_train_epochs": stage.epochs}
    if stage.validate_every is not None:
        settings |= {
            "eval_dataset": "validation",
            "eval_strategy": "steps",
            "eval_steps": stage.validate_every,
            "per_device_eval_batch_size": stage.batch.per_device,
        }
    if stage.keep_best:
        # transformers keeps the best checkpoint besides the newest, and loads its weights at the end.
        settings |= {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "greater_is_better": False}
    if not cuda:
        settings["use_cpu"] = True  # transformers requires it to train on a CPU
    return settings | upstream


def _environment(context: Context, hardware: Hardware) -> dict[str, str]:
    variables = {
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DISABLE_VERSION_CHECK": "1",  # the lock pins the versions
        "TOKENIZERS_PARALLELISM": "false",
        "HF_DATASETS_CACHE": str(context.paths.step("train") / "cache" / "datasets"),
    }
    if context.platform == "cpu":
        # A tiny model's steps are slower with two threads than with one (measured: 5 times).
        variables |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    if context.platform == "cuda" or hardware.nodes * hardware.gpus_per_node > 1:
        # LLaMA-Factory starts torchrun; on several nodes, the launcher passes their number and the rendezvous.
        variables |= {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": str(hardware.gpus_per_node)}
    return variables
