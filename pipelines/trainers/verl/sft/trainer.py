"""verl as the trainer of supervised stages (`pipelines.trainers.base.Trainer`)."""

from __future__ import annotations

from pipelines.errors import StepError
from pipelines.recipe.nested import Settings, deep_merge, get_path, unflatten
from pipelines.recipe.schema import SftStage
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
)
from pipelines.trainers.several_nodes import on_each_node
from pipelines.trainers.verl import cpu, cuda
from pipelines.trainers.verl.attempt_files import KEEP_BEST
from pipelines.trainers.verl.checkpoints import resume
from pipelines.trainers.verl.checkpoints.best import LOSS, find_lowest_loss
from pipelines.trainers.verl.checkpoints.resume import checkpoints, incomplete, metrics
from pipelines.trainers.verl.rendering import (
    command,
    lora_settings,
    merge,
    merge_module,
    render,
    training_environment,
    training_length,
    upstream_keys,
)

__all__ = [
    "ANSWERS",
    "before_attempt",
    "checkpoints",
    "disk_usage",
    "export",
    "incomplete",
    "launch",
    "metrics",
    "progress",
    "result",
]

ANSWERS = "pipelines.trainers.verl.answers"

_GROUPS = ("data", "model", "engine", "optim", "checkpoint", "trainer")

# Shown next to the progress bar: name, verl's metric.
_SHOWN = (HEADLINES["sft", "verl"], ("eval_loss", "val/loss"), ("lr", "train/lr"))


def launch(stage: SftStage, context: Context) -> Launch:
    """Render `verl.trainer.sft_trainer` under torchrun with one YAML file that overrides verl's defaults.

    Precedence, lowest first: the stage's typed fields, the platform, `stage.verl`. The same command resumes from the
    checkpoint that the tracker file names (trainer.resume_mode auto).
    """
    platform = cpu if context.platform == "cpu" else cuda
    settings = deep_merge(_stage(stage, context), platform.sft_settings(stage), upstream_keys(stage))
    hardware = context.recipe.hardware_of(stage)
    # On several nodes the launcher passes the rendezvous in variables. verl's trainer for Ray (trainer/sft_trainer_ray.py) does
    # not seed the adapters of its workers, saves no LoRA metadata, and always starts 8 processes to load data (v0.9.1).
    alone = ("--standalone",) if hardware.nodes == 1 else ()
    torchrun = ("torch.distributed.run", *alone, "--nproc_per_node", str(hardware.gpus_per_node), "-m")
    title = f"verl: supervised fine-tuning, stage {stage.name}"
    launch = Launch(
        argv=command(context, *torchrun, "verl.trainer.sft_trainer"),
        environment=training_environment(context, stage) | ({KEEP_BEST: "1"} if stage.keep_best else {}),
        files={"train.yaml": render("sft_trainer_engine", _GROUPS, settings, title)},
    )
    return launch if hardware.nodes == 1 else on_each_node(launch, context, hardware)


def disk_usage(stage: SftStage, context: Context, parameters: int) -> DiskUsage:
    """Every rank saves its shard of the weights, 32 bits by default, and of AdamW's two averages.

    With adapters it saves the whole model's weights too, but only the adapters' averages. The merged model has 16 bits.
    """
    weights = resume.weight_bytes(unflatten(stage.verl), "engine")
    return DiskUsage(checkpoint=weights * (1 if stage.lora else 3) * parameters, export=2 * parameters)


def export(stage: SftStage, context: Context) -> Launch:
    """Render verl's merge of the shards, and of adapters into the model."""
    return merge(context.paths.checkpoint, context, merge_module(stage))


def before_attempt(stage: SftStage, paths: StagePaths) -> int:
    """Delete incomplete checkpoints; return the step to resume from."""
    validation = {} if stage.validate_every is None else {"validation": 1}
    return resume.prepare_resume(stage, paths, {"train": _rows_per_step(paths), **validation})


def progress(stage: SftStage, paths: StagePaths) -> Progress | None:
    """Return the newest training step, the loss first."""
    rows = metrics(stage, paths)
    return progress_of(rows[-1], _total_steps(stage, paths), _SHOWN) if rows else None


def result(stage: SftStage, paths: StagePaths) -> Result:
    """Return the last checkpoint, or the best with `keep_best`."""
    last, complete = resume.check_finished(paths, _total_steps(stage, paths))
    chosen, notes = last, _dropped_rows(stage, paths)
    if stage.keep_best:
        best = find_lowest_loss(complete)
        if LOSS not in complete[last]:
            raise StepError(f"step {last} was saved without a validation loss: the best checkpoint cannot be chosen")
        if best is None:
            raise StepError("every validation loss is infinite or not a number: the best checkpoint cannot be chosen")
        note = best_note("lowest validation loss", best, complete[best][LOSS], last, complete[last][LOSS])
        chosen, notes = best, (note, *notes)
    return Result(paths.checkpoints / f"global_step_{chosen}", last, notes)


def _stage(stage: SftStage, context: Context) -> Settings:
    """Translate the stage's typed fields into verl's settings."""
    hardware, seed, batch = context.recipe.hardware_of(stage), context.recipe.seed, stage.batch
    validates, rows = stage.validate_every is not None, rows_folder(stage, context.paths)
    return {
        "data": {
            "train_files": str(rows / "train.parquet"),
            "val_files": str(rows / "validation.parquet") if validates else None,
            "train_batch_size": batch.per_device * batch.accumulate * hardware.nodes * hardware.gpus_per_node,
            "micro_batch_size_per_gpu": batch.per_device,
            "use_dynamic_bsz": stage.packing,
            "max_token_len_per_gpu": batch.per_device * stage.max_tokens,
            "max_length": stage.max_tokens,
            "pad_mode": "no_padding",
            "custom_cls": {"path": "pkg://pipelines.trainers.verl.plugin.sft_rows", "name": "SftRows", "seed": seed},
        },
        "model": {"path": context.model, **lora_settings(stage.lora)},
        "engine": {"seed": seed},
        "optim": {"lr": stage.learning_rate},
        "trainer": {
            **training_length(stage),
            "save_freq": stage.save_every or -1,
            "test_freq": stage.validate_every or -1,
            "max_ckpt_to_keep": stage.keep_checkpoints,
            "resume_mode": "auto",
            "default_local_dir": str(context.paths.checkpoints),
            "nnodes": hardware.nodes,
            "n_gpus_per_node": hardware.gpus_per_node,
            "logger": ["console", "file"],
            "project_name": context.recipe.name,
            "experiment_name": stage.name,
        },
    }


def _dropped_rows(stage: SftStage, paths: StagePaths) -> tuple[str, ...]:
    """Return a note on the incomplete last batch, which verl's data loader drops (trainer/sft_trainer.py, v0.9.1)."""
    rows, batch = count_rows(rows_folder(stage, paths), "train"), _rows_per_step(paths)
    if not rows or not rows % batch:
        return ()
    steps, dropped = divmod(rows, batch)
    return (f"an epoch has {steps} steps of {batch} rows: {dropped} of {rows} rows are dropped, different ones each epoch",)


def _total_steps(stage: SftStage, paths: StagePaths) -> int | None:
    """Return the number of steps as verl counts them; None if the rows are missing."""
    if stage.steps is not None:
        return stage.steps
    rows = count_rows(rows_folder(stage, paths), "train")
    assert stage.epochs is not None
    return None if rows is None else int(stage.epochs) * (rows // _rows_per_step(paths))


def _rows_per_step(paths: StagePaths) -> int:
    """Return the rendered batch size, over all devices."""
    from ruamel.yaml import YAML

    settings = YAML(typ="safe", pure=True).load(paths.step("train") / "train.yaml")
    return int(get_path(settings, "data.train_batch_size"))
