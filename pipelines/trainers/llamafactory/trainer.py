"""Everything we know about LLaMA-Factory 0.9.5: a supervised stage as its configuration, and what it left behind."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from pipelines.errors import StepError
from pipelines.recipe import deepspeed
from pipelines.recipe.schema import SftStage
from pipelines.trainers.base import Context, Launch, Progress, Result, Saved, StagePaths
from pipelines.trainers.yaml_text import to_yaml

ANSWERS = "pipelines.trainers.llamafactory.answers"

# With neither a rhythm nor an end in between, a killed run would begin again; this is transformers' own default.
_DEFAULT_SAVE_EVERY = 500


def launch(stage: SftStage, context: Context) -> Launch:
    """`llamafactory-cli train` on one YAML file.

    The same command resumes: LLaMA-Factory takes the newest checkpoint under output_dir when there is one
    (hparams/parser.py, v0.9.5).
    """
    return Launch(
        argv=(str(context.python), "-m", "llamafactory.cli", "train", "train.yaml"),
        environment=_environment(context),
        files={"train.yaml": to_yaml(_training(stage, context), f"LLaMA-Factory: supervised fine-tuning, stage {stage.name}")},
    )


def export(stage: SftStage, context: Context) -> Launch | None:
    """Adapters are merged by `llamafactory-cli export`; a fully trained model is a HuggingFace folder already."""
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
    return Launch(
        argv=(str(context.python), "-m", "llamafactory.cli", "export", "export.yaml"),
        environment=_environment(context),
        files={"export.yaml": to_yaml(settings, f"LLaMA-Factory: adapters merged into the model, stage {stage.name}")},
    )


def saved(stage: SftStage, context: Context, parameters: int) -> Saved:
    """Trained weights are 32 bits, and so are both of AdamW's averages; of LoRA only the adapters are saved.

    DeepSpeed trains a 16-bit copy beside its 32-bit weights and saves both, and the model gathered in 16 bits once more
    (model/adapter.py `init_adapter`; examples/deepspeed `stage3_gather_16bit_weights_on_model_save`).
    """
    if stage.lora is not None:
        # All linear layers of a 7B model have 0.033 % as many parameters as the model for each rank.
        return Saved(checkpoint=round(12 * parameters * 0.00033 * stage.lora.rank), export=2 * parameters)
    if context.platform == "cuda" and stage.llamafactory.get("deepspeed"):
        return Saved(checkpoint=16 * parameters, export=2 * parameters)
    return Saved(checkpoint=12 * parameters, export=4 * parameters)


def before_attempt(stage: SftStage, paths: StagePaths) -> int:
    """Removes checkpoints that a kill left half-written, and all that is there when none is whole.

    transformers writes trainer_state.json last (trainer.py `_save_checkpoint`, 5.5.4), and takes the folder with the
    highest number on a resume, whole or not.
    """
    whole = []
    for folder in paths.checkpoints.glob("checkpoint-*"):
        if _read_json(folder / "trainer_state.json") is None:
            shutil.rmtree(folder)
        else:
            whole.append(int(folder.name.rpartition("-")[2]))
    if not whole and paths.checkpoints.exists():
        # Without a checkpoint, LLaMA-Factory refuses an output_dir in which it finds a model.
        shutil.rmtree(paths.checkpoints)
    return max(whole, default=0)


def progress(stage: SftStage, paths: StagePaths) -> Progress | None:
    """The newest line of trainer_log.jsonl."""
    rows = metrics(stage, paths)
    if not rows:
        return None
    last = rows[-1]
    shown: dict[str, float] = {key: last[key] for key in ("loss", "eval_loss", "lr") if key in last}
    total = last.get("total_steps")
    return Progress(int(last["step"]), int(total) if total else None, shown)


def metrics(stage: SftStage, paths: StagePaths) -> list[dict[str, float]]:
    """trainer_log.jsonl, one mapping per step: a resumed run appends, so steps repeat and the last one counts."""
    steps: dict[int, dict[str, float]] = {}
    try:
        text = (paths.checkpoints / "trainer_log.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue  # the line is being written, or a kill cut it short: its step is trained, and logged, again
        step = row.pop("current_steps")
        if "train_loss" in row or row.get("loss") is row.get("eval_loss") is None:
            row.pop("total_steps", None)  # the closing summary repeats the last step
        numbers = {key: value for key, value in row.items() if isinstance(value, int | float)}
        steps.setdefault(step, {"step": step}).update(numbers)
    return [steps[step] for step in sorted(steps)]


def result(stage: SftStage, paths: StagePaths) -> Result:
    """The folder of the trained model, once it is sure that it was trained, to the end, on all rows.

    LLaMA-Factory ends with status 0 also when it skipped rows that it could not read, and when every label was cut off.
    """
    state = _read_json(paths.checkpoints / "trainer_state.json")
    if state is None:
        raise StepError(f"LLaMA-Factory ended without {paths.checkpoints / 'trainer_state.json'}: training did not finish")
    step, expected = int(state["global_step"]), stage.steps or int(state["max_steps"])
    if step < expected:
        raise StepError(f"LLaMA-Factory ended at step {step} of {expected}")
    losses = [row["loss"] for row in state["log_history"] if "loss" in row]
    if not any(losses):
        raise StepError(
            f"LLaMA-Factory trained on nothing: its loss is 0 at every step; "
            f"is max_tokens: {stage.max_tokens} shorter than the prompts?"
        )
    return Result(checkpoint=paths.checkpoints, step=step, notes=(*_choice(stage, state), *_check_rows(stage, paths)))


def _choice(stage: SftStage, state: dict[str, Any]) -> tuple[str, ...]:
    """What is said of the best checkpoint, whose weights LLaMA-Factory has loaded at the end."""
    if not stage.keep_best:
        return ()
    losses = {int(row["step"]): float(row["eval_loss"]) for row in state["log_history"] if "eval_loss" in row}
    best, folder = state.get("best_global_step"), state.get("best_model_checkpoint")
    if best not in losses or folder is None or not str(folder).endswith(f"checkpoint-{best}"):
        raise StepError(f"LLaMA-Factory saved no checkpoint of step {best}, whose validation was best: it cannot be handed on")
    said, last = f"step {best} is handed on: its validation loss, {losses[best]:.4g}, is the least", max(losses)
    return (said if best == last else f"{said}; the last, step {last}, has {losses[last]:.4g}",)


def _check_rows(stage: SftStage, paths: StagePaths) -> tuple[str, ...]:
    """Compares the rows that were prepared with those that LLaMA-Factory says it trained on; a note when it cannot."""
    summary = _read_json(paths.data / "summary.json")
    log = (paths.step("train") / "log").read_text(encoding="utf-8", errors="replace")
    said = re.findall(r"Running training \*+.*?Num examples = ([\d,]+)", log, re.DOTALL)  # an evaluation says it, too
    if summary is None or not said:
        return ("whether all rows were trained on is not known: the log does not say on how many",)
    given, trained = int(summary["rows"]["train"]), int(said[-1].replace(",", ""))
    if stage.packing:
        return (f"{given} rows were packed into {trained} sequences of {stage.max_tokens} tokens",)
    if trained < given:
        raise StepError(
            f"LLaMA-Factory trained on {trained} of {given} rows; it skips rows whose roles or turns it does not take"
        )
    return ()


def _training(stage: SftStage, context: Context) -> dict[str, Any]:
    cuda = context.platform == "cuda"
    upstream = _name_deepspeed(dict(stage.llamafactory), context)
    settings: dict[str, Any] = {
        # model
        "model_name_or_path": context.model,
        "trust_remote_code": False,
        # method
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "full" if stage.lora is None else "lora",
    }
    if stage.lora is not None:
        settings |= {"lora_rank": stage.lora.rank, "lora_alpha": stage.lora.alpha, "lora_target": stage.lora.target}
    settings |= {
        # data
        "dataset_dir": str(context.paths.data),
        "dataset": "train",
        "template": stage.template,
        "cutoff_len": stage.max_tokens,
        # Packed alone, rows of one sequence would see each other.
        **({"packing": True, "neat_packing": True} if stage.packing else {}),
        "overwrite_cache": True,
        "preprocessing_num_workers": 16 if cuda else 1,
        "dataloader_num_workers": 4 if cuda else 0,
        # output
        "output_dir": str(context.paths.checkpoints),
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": stage.save_every or _DEFAULT_SAVE_EVERY,
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
        # transformers keeps the best checkpoint beside the newest, and loads its weights at the end.
        settings |= {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "greater_is_better": False}
    if not cuda:
        settings["use_cpu"] = True  # transformers asks for it before it takes a CPU on purpose
    return settings | upstream


def _name_deepspeed(upstream: dict[str, Any], context: Context) -> dict[str, Any]:
    """`deepspeed: zero3` stands for the file of that name in the pinned checkout; a cpu has no DeepSpeed."""
    name = upstream.get("deepspeed")
    if context.platform == "cpu":
        upstream.pop("deepspeed", None)
    elif name in deepspeed.FILES:
        upstream["deepspeed"] = str(context.source / "examples" / "deepspeed" / deepspeed.FILES[name])
    return upstream


def _environment(context: Context) -> dict[str, str]:
    variables = {
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DISABLE_VERSION_CHECK": "1",  # the lock has chosen the versions
        "TOKENIZERS_PARALLELISM": "false",
        "HF_DATASETS_CACHE": str(context.paths.step("train") / "cache" / "datasets"),
    }
    if context.platform == "cpu":
        # A tiny model's steps take longer when two threads share them than when one has them alone (measured: 5 times).
        variables |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    processes = context.recipe.hardware.gpus_per_node
    if context.platform == "cuda" or processes > 1:
        variables |= {"FORCE_TORCHRUN": "1", "NPROC_PER_NODE": str(processes)}
    return variables


def _read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None when it is missing or cut short."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return value if isinstance(value, dict) else None
