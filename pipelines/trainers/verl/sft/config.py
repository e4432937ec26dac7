"""A supervised stage as a Hydra file for verl's `sft_trainer`."""

from __future__ import annotations

from pipelines.recipe.schema import SftStage
from pipelines.trainers.base import Context, Launch
from pipelines.trainers.verl import cpu, cuda
from pipelines.trainers.verl.attempt_files import KEEP_BEST
from pipelines.trainers.verl.hydra import command, render, training_length, upstream_keys
from pipelines.trainers.verl.nested import Settings, deep_merge
from pipelines.trainers.verl.variables import training_environment

_GROUPS = ("data", "model", "engine", "optim", "checkpoint", "trainer")


def launch(stage: SftStage, context: Context) -> Launch:
    """Render `verl.trainer.sft_trainer` under torchrun with one YAML file that overrides verl's defaults.

    Precedence, lowest first: the stage's typed fields, the platform, `stage.verl`. The same command resumes from the
    checkpoint that the tracker file names (trainer.resume_mode auto).

    Raises:
        InputError: verl does not support the stage.
    """
    platform = cpu if context.platform == "cpu" else cuda
    settings = deep_merge(_stage(stage, context), platform.sft_settings(stage), upstream_keys(stage))
    torchrun = ("torch.distributed.run", "--standalone", "--nproc_per_node", str(context.recipe.hardware.gpus_per_node), "-m")
    title = f"verl: supervised fine-tuning, stage {stage.name}"
    return Launch(
        argv=command(context, *torchrun, "verl.trainer.sft_trainer"),
        environment=training_environment(context) | ({KEEP_BEST: "1"} if stage.keep_best else {}),
        files={"train.yaml": render("sft_trainer_engine", _GROUPS, settings, title)},
    )


def _stage(stage: SftStage, context: Context) -> Settings:
    """Translate the stage's typed fields into verl's settings."""
    hardware, seed, batch = context.recipe.hardware, context.recipe.seed, stage.batch
    validates = stage.validate_every is not None
    model: Settings = {"path": context.model}
    if stage.lora is not None:
        target = stage.lora.target
        model |= {
            "lora_rank": stage.lora.rank,
            "lora_alpha": stage.lora.alpha,
            "target_modules": "all-linear" if target == "all" else [name.strip() for name in target.split(",")],
        }
    return {
        "data": {
            "train_files": str(context.paths.data / "train.parquet"),
            "val_files": str(context.paths.data / "validation.parquet") if validates else None,
            "train_batch_size": batch.per_device * batch.accumulate * hardware.gpus_per_node,
            "micro_batch_size_per_gpu": batch.per_device,
            "use_dynamic_bsz": stage.packing,
            "max_token_len_per_gpu": batch.per_device * stage.max_tokens,
            "max_length": stage.max_tokens,
            "pad_mode": "no_padding",
            "custom_cls": {"path": "pkg://pipelines.trainers.verl.plugin.sft_rows", "name": "SftRows", "seed": seed},
        },
        "model": model,
        "engine": {"seed": seed},
        "optim": {"lr": stage.learning_rate},
        "trainer": {
            **training_length(stage),
            "save_freq": stage.save_every or -1,
            "test_freq": stage.validate_every or -1,
            "max_ckpt_to_keep": stage.keep_checkpoints,
            "resume_mode": "auto",
            "default_local_dir": str(context.paths.checkpoints),
            "nnodes": 1,
            "n_gpus_per_node": hardware.gpus_per_node,
            "logger": ["console", "file"],
            "project_name": context.recipe.name,
            "experiment_name": stage.name,
        },
    }
