"""The recipe and its stages: typed fields for the settings that users change most.

All other settings are upstream keys: they go under `verl:` or `llamafactory:` of a stage and are checked against the keys of
the pinned upstream (`upstream_keys`). Unknown keys are errors everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from pipelines.recipe.algorithms import ALGORITHMS, Algorithm, AlgorithmName, KlPlace
from pipelines.recipe.evaluating import Evaluate
from pipelines.recipe.launching import Launch
from pipelines.recipe.tracking import TrackerEntry
from preprocess.config import Data, FilePath, Location, Model, Overlong, PathRule, Revision, Sandbox, Source
from preprocess.config.text_fields import HasNoNul, IsPath

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
"""A name that is also the name of a folder."""

UpstreamKeys = dict[str, Any]
"""Keys of an upstream trainer, nested or dotted."""


def _model_tag(value: Any) -> str:
    """Select the member of a union by the value's type, so that errors are about that member only."""
    return "(mapping)" if isinstance(value, dict | BaseModel) else "(text)"


class TinyModel(Model):
    """A small model with random weights, made at the start of the run: for testing a recipe without the hub."""

    make: Literal["qwen2", "qwen3", "llama"]
    """The architecture, by its name in `transformers`."""
    like: Location | None = None
    """A model whose architecture, tokenizer and chat template are copied if they are available: a folder, or a hub name that
    is cached or can be downloaded. Otherwise the architecture is `make`, and the tokenizer is trained on the run's rows."""
    vocabulary: int = Field(default=1024, ge=300, le=65536)
    """Tokens in the vocabulary, a byte-level BPE trained on the prompts and answers of the run's rows."""
    hidden_size: int = Field(default=128, ge=64)
    """Width of the residual stream."""
    layers: int = Field(default=2, ge=1)
    """Transformer blocks."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; hidden_size / heads must be a head size that vLLM supports on a CPU (32, 64, 80, 96, 128 …)."""
    max_tokens: int = Field(default=2048, ge=128)
    """Longest sequence: prompt and response."""

    @model_validator(mode="after")
    def _check_head_size(self) -> TinyModel:
        head_size = self.hidden_size / self.heads
        if head_size not in (32, 64, 80, 96, 112, 128, 192, 256):
            raise ValueError(
                f"hidden_size {self.hidden_size} / heads {self.heads} gives a head size of {head_size:g}; "
                "vLLM on a CPU supports 32, 64, 80, 96, 112, 128, 192 and 256"
            )
        return self


class Hardware(Model):
    """The hardware of the run."""

    platform: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is cuda if an NVIDIA GPU is found, or if the recipe asks for several GPUs and its model is not tiny; else cpu."""
    nodes: int = Field(default=1, ge=1)
    """Machines. Several need a running Ray cluster with the same environments and files at the same paths on each node;
    RAY_ADDRESS names it, or the run starts on one of its nodes."""
    gpus_per_node: int = Field(default=1, ge=1)
    """GPUs of each machine; on cpu, data-parallel worker processes."""


class StageHardware(Model):
    """The part of the hardware that a stage uses."""

    nodes: int | None = Field(default=None, ge=1)
    """Machines; default: the recipe's. With 1, the stage runs on the machine of `pipeline run`, without the cluster."""
    gpus_per_node: int | None = Field(default=None, ge=1)
    """GPUs of each machine; on cpu, data-parallel worker processes; default: the recipe's."""


class Environments(Model):
    """Existing Pythons to use instead of the pinned environments, for example in an upstream's container."""

    llamafactory: FilePath | None = None
    """A Python with LLaMA-Factory; also set by the variable PIPELINE_LLAMAFACTORY_PYTHON."""
    verl: FilePath | None = None
    """A Python with verl and vLLM; also set by the variable PIPELINE_VERL_PYTHON."""


class Lora(Model):
    """Low-rank adapters instead of full fine-tuning; merged into the model that the next stage starts from."""

    rank: int = Field(default=8, ge=1)
    """Rank of the adapters."""
    alpha: int = Field(default=16, ge=1)
    """Scale of the adapters: their output is multiplied by alpha / rank."""
    target: str = "all"
    """Modules with an adapter, comma-separated; `all` is every linear layer."""


class SftBatch(Model):
    """Rows of an optimizer step of supervised fine-tuning: per_device x accumulate x devices."""

    per_device: int = Field(default=1, ge=1)
    """Rows of a forward pass on a device."""
    accumulate: int = Field(default=1, ge=1)
    """Forward passes per optimizer step."""


class RlBatch(Model):
    """Prompts of a step of reinforcement learning."""

    prompts: int = Field(ge=1)
    """Prompts per step; `rollout.samples` responses are generated for each."""
    mini: int = Field(ge=1)
    """Prompts per optimizer update."""
    micro_per_gpu: int = Field(default=1, ge=1)
    """Responses of a forward pass on a device."""


class Rollout(Model):
    """Generation of responses."""

    samples: int = Field(default=1, ge=1)
    """Responses per prompt (verl's rollout.n); most algorithms compare them with each other and need two or more."""
    max_prompt_tokens: int = Field(ge=1)
    """Longest prompt; `data.overlong` says what happens to longer ones."""
    max_response_tokens: int = Field(ge=1)
    """Longest response."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature in training; at 0, all responses to a prompt would be the same."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling in training."""
    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs per copy of the model during generation."""
    gpu_memory: float = Field(default=0.5, gt=0, le=1)
    """Share of a GPU's memory for vLLM."""


class Validation(Model):
    """Generation of responses to the validation rows."""

    samples: int = Field(default=1, ge=1)
    """Responses per prompt, whose mean counts: more samples give a narrower interval."""
    temperature: float | None = Field(default=None, ge=0)
    """Sampling temperature; default: 0 for one sample (greedy), that of training for several."""


class Tool(Model):
    """The Python interpreter that the model may call in a response, for rows that name the tool."""

    name: Literal["python_interpreter"]
    """The tool."""
    stateful: bool = False
    """Keep variables between the calls of a response; default: each call is a separate program."""
    seconds: float = Field(default=30.0, gt=0)
    """CPU time of a call; its wall time may be twice as long."""
    max_output_chars: int = Field(default=4000, ge=200, le=25000)
    """Longest output of a call; a longer one is truncated in the middle."""
    concurrency: int = Field(default=32, ge=1)
    """Concurrent calls of each process that generates responses."""
    max_turns: int = Field(default=10, ge=2)
    """Turns of the model in a response; calls in the last turn are not run."""
    format: Literal["hermes", "qwen3_coder", "gpt-oss", "glm", "seed", "minimax", "kimi", "deepseek_v4"] = "hermes"
    """verl's parser for calls in the format of the model's chat template. Its gemma4 is left out: it loses multi-line code."""


class Critic(Model):
    """The value model that PPO trains with the policy; it starts from the same model as the policy."""

    learning_rate: float = Field(default=1.0e-5, gt=0)
    """Peak learning rate of the critic."""
    warmup_steps: int = Field(default=0, ge=0)
    """First steps, in which only the critic is trained."""


class Kl(Model):
    """Penalty on the divergence from the model that the stage starts from."""

    place: KlPlace | None = None
    """Add the penalty to the loss, or subtract it from the reward; default: the algorithm's usual place."""
    coefficient: float = Field(default=0.001, gt=0)
    """Weight of the penalty."""
    estimator: Literal["kl", "abs", "mse", "low_var_kl"] | None = None
    """Estimator of the divergence: kl is Schulman's k1, mse k2, low_var_kl k3. Default: verl's, low_var_kl in the loss and kl
    in the reward."""


class Reward(Model):
    """A reward: the score of a response."""

    name: str
    """The reward's name (`pipeline rewards list` lists them)."""
    options: dict[str, Any] = Field(default={})
    """Options of the reward."""
    file: FilePath | None = None
    """A Python file that registers the reward; it must have the same path on every machine of the run."""
    weight: float = Field(default=1.0, allow_inf_nan=False)
    """Factor of its score in the sum of scores."""
    data_source: str | None = Field(default=None, min_length=1)
    """The rows that it scores, by a pattern of their data sources (`bootcamp/*`; `*` is every row); default: rows that no
    other pattern matches."""


def _reward_tag(value: Any) -> str:
    return "(list)" if isinstance(value, list) else _model_tag(value)


Rewards = Annotated[
    Annotated[str, Tag("(text)")]
    | Annotated[Reward, Tag("(mapping)")]
    | Annotated[Annotated[list[Reward], Field(min_length=1)], Tag("(list)")],
    Discriminator(_reward_tag),
]


def list_rewards(given: str | Reward | list[Reward]) -> list[Reward]:
    """Return rewards, however they are written, as a list."""
    listed = given if isinstance(given, list) else [given]
    return [Reward(name=each) if isinstance(each, str) else each for each in listed]


_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_TAG = re.compile(r"\w[\w.+-]*")

# vllm/config/lora.py `MaxLoRARanks`, 0.24 and 0.27.
_LONGEST_RANK = 512


class Notify(Model):
    """What is called when the run has ended."""

    command: list[Annotated[str, HasNoNul]] = Field(min_length=1)
    """A program and its arguments, run without a shell when the run completes or fails. It gets the output of
    `pipeline status --json` on its standard input, and PIPELINE_STATE, PIPELINE_NAME, PIPELINE_DIRECTORY and PIPELINE_REASON
    as variables. Its failure is a warning."""


class _Stage(Model):
    """Fields of every stage."""

    name: Name
    """The stage's name: its folder in the run directory, and its name in `init_from` and `--from`."""
    init_from: Annotated[str, Field(min_length=1), IsPath, PathRule(hub=True, stage=True)] | None = None
    """A stage's name, a model folder or a hub name; default: the previous stage, for the first stage the recipe's model."""
    revision: Revision | None = None
    """Branch, tag or commit of the hub name in `init_from`; default: main."""
    data: Data
    """Training and validation rows."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the training rows; set either this or `steps`."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps (sft) or rollout steps (rl); set either this or `epochs`."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate."""
    save_every: int | None = Field(default=None, ge=1)
    """Steps between checkpoints, from which an interrupted run resumes; the last step is always saved."""
    validate_every: int | None = Field(default=None, ge=1)
    """Steps between validations; default: no validation."""
    keep_checkpoints: int | None = Field(default=2, ge=1)
    """Number of newest checkpoints to keep; `null` keeps all."""
    keep_best: bool = False
    """Use the checkpoint with the best validation as the stage's model, and keep it beside the newest; default: the last."""
    hardware: StageHardware = StageHardware()
    """The part of the hardware that the stage uses; default: the recipe's `hardware`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for mistake in self._find_mistakes():
            raise ValueError(mistake)
        return self

    def _find_mistakes(self) -> Iterator[str]:
        """Find values that contradict each other."""
        save, validate = self.save_every, self.validate_every
        if (self.epochs is None) == (self.steps is None):
            yield "set either `epochs` or `steps`"
        if not self.keep_best:
            return
        if save is None or validate is None:
            missing = [name for name, value in (("save_every", save), ("validate_every", validate)) if value is None]
            yield f"keep_best requires `save_every` and `validate_every`; set {' and '.join(missing)}"
        elif save % validate:
            nearest = max(1, round(save / validate)) * validate
            yield (
                f"keep_best: save_every {save} is not a multiple of validate_every {validate}, "
                f"so some checkpoints would not be validated; the nearest valid save_every is {nearest}"
            )

    @property
    def overlong(self) -> Overlong:
        """Handling of rows with too many tokens."""
        return self.data.overlong or "cut"

    @property
    def sources(self) -> list[Source]:
        """All sources of the stage's rows, for training and validation."""
        return [*self.data.train_sources, *self.data.validation_sources]


class SftStage(_Stage):
    """Supervised fine-tuning on conversations."""

    kind: Literal["sft"]
    trainer: Literal["llamafactory", "verl"] = "llamafactory"
    """LLaMA-Factory, or verl's trainer for supervised fine-tuning."""
    template: str | None = "qwen"
    """LLaMA-Factory's chat template. `qwen` keeps the tokenizer's template; `chatml`, `alpaca` and others replace it; with
    `null`, LLaMA-Factory derives one from the tokenizer's, for rows without tools. verl always uses the tokenizer's."""
    lora: Lora | None = None
    """Train adapters only; default: the whole model."""
    packing: bool = False
    """Pack short rows into one sequence, without attention between them, instead of padding them. With LLaMA-Factory, a
    sequence has max_tokens and counts as one row of the batch; with verl, up to batch.per_device x max_tokens, on GPUs with
    flash-attn."""
    batch: SftBatch = SftBatch()
    """Rows per optimizer step."""
    max_tokens: int = Field(default=2048, ge=16)
    """Longest conversation; `data.overlong` says what happens to longer ones."""
    llamafactory: UpstreamKeys = Field(default={})
    """Any key of LLaMA-Factory's training configuration, if it is the trainer."""
    verl: UpstreamKeys = Field(default={})
    """Any key of verl's SFT trainer configuration, if it is the trainer."""

    @model_validator(mode="before")
    @classmethod
    def _default_template(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("trainer") == "verl":
            return {"template": None, **given}
        return given

    def _find_mistakes(self) -> Iterator[str]:
        yield from super()._find_mistakes()
        rows = self.batch.per_device
        if self.trainer == "verl" and self.template is not None:
            yield f"template {self.template} is for LLaMA-Factory; verl uses the tokenizer's chat template: remove `template`"
        # LLaMA-Factory asserts this at the first step (data/collator.py, v0.9.5).
        if self.packing and self.llamafactory.get("flash_attn") == "fa2" and rows > 1:
            yield (
                f"packing: with flash_attn: fa2, LLaMA-Factory supports one sequence per device; batch.per_device is {rows}: "
                f"set per_device: 1, accumulate: {rows * self.batch.accumulate}"
            )
        # transformers tracks the best of all validations, and falls back to the last step if that one was not saved.
        if self.keep_best and self.trainer == "llamafactory" and self.save_every != self.validate_every:
            yield (
                f"keep_best: LLaMA-Factory compares every validation, so each must be saved: "
                f"save_every is {self.save_every}, validate_every {self.validate_every}; set them to the same value"
            )


class RlStage(_Stage):
    """Reinforcement learning with verl."""

    kind: Literal["rl"]
    algorithm: AlgorithmName
    """The algorithm: advantage estimator, loss and settings (`pipeline algorithms` describes each)."""
    entry: str | None = None
    """Another program on verl's trainers to train with, for an algorithm outside verl's core: the module of a `@hydra.main`
    function in `checkout`, such as `recipe.prime.main_prime`. It gets the same configuration over its own defaults; default:
    verl's `main_ppo`."""
    checkout: Annotated[str, Field(min_length=1), PathRule(hub=True)] | None = None
    """The folder with the code of `entry`, which has the same path on every machine of the run; or a tag of the verl-recipe
    repository, downloaded by `pipeline env sync verl --recipes TAG`."""
    reward: Rewards
    """The score of a response: a reward's name, its name and options, or a list of rewards, whose weighted scores are added."""
    max_failed_rewards: float = Field(default=0.1, ge=0, le=1)
    """Share of responses whose reward may fail before the run stops: of at least 32 during training, of all at the end.
    Such responses score 0 and are listed in train/rewards/failures.jsonl with their errors."""
    max_reward_seconds: float = Field(default=240.0, gt=0)
    """Time limit of a user-defined reward per response; a reward that exceeds it fails. Built-in rewards limit the programs
    that they run."""
    batch: RlBatch
    """Prompts per step."""
    rollout: Rollout
    """Generation of responses."""
    validation: Validation = Validation()
    """Generation of responses to the validation rows; default: one greedy response each."""
    tool: Tool | None = None
    """The Python interpreter that the model may call in a response; default: none."""
    critic: Critic | None = None
    """The value model, required by ppo (`critic: {}` uses all defaults)."""
    kl: Kl | None = None
    """Penalty on the divergence from the model that the stage starts from; default: none."""
    lora: Lora | None = None
    """Train adapters of the policy only, at most of rank 512; default: the whole model. A critic is always trained whole."""
    best_metric: str | None = None
    """The metric that `keep_best` maximizes: verl's name of a validation metric, or a pattern with `*` for the mean of
    several. Default: the accuracy of the validation rows if every reward returns one, else their score; each data source is
    weighted equally."""
    keep_samples: int = Field(default=16, ge=0)
    """Responses of each step and each validation to keep in the stage's `samples` folder, with their rewards and why: all of a
    prompt, of one prompt at least; 0 keeps none."""
    verl: UpstreamKeys = Field(default={})
    """Any key of verl's PPO trainer configuration."""

    @property
    def trainer(self) -> Literal["verl"]:
        """The stage's trainer."""
        return "verl"

    @property
    def overlong(self) -> Overlong:
        """Handling of rows with too many tokens."""
        kept = self._filters_prompts() is False
        return self.data.overlong or ("cut" if kept else "leave_out")

    def _filters_prompts(self) -> Any:
        """Return verl's own key of `overlong`; None: it is not set."""
        data = self.verl.get("data")
        return data.get("filter_overlong_prompts") if isinstance(data, dict) else None

    @property
    def rewards(self) -> list[Reward]:
        """The stage's rewards, as a list."""
        return list_rewards(self.reward)

    @property
    def method(self) -> Algorithm:
        """The stage's algorithm."""
        return ALGORITHMS[self.algorithm]

    def _find_mistakes(self) -> Iterator[str]:
        yield from super()._find_mistakes()
        name, method, batch, kl = self.algorithm, self.method, self.batch, self.kl
        if self.data.overlong is not None and self._filters_prompts() is not None:
            yield "data.overlong and verl.data.filter_overlong_prompts say the same: remove the latter"
        yield from _find_entry_mistakes(self.entry, self.checkout)
        if isinstance(self.reward, Reward) and self.reward.data_source is not None:
            yield "reward.data_source: a single reward scores every row; use a list of rewards for patterns"
        if (given := self.rollout.samples) < method.samples:
            yield f"{name} compares the samples of a prompt: rollout.samples is {given}, expected at least {method.samples}"
        if (given := len(self.rewards)) < method.rewards:
            yield f"{name} normalizes the rewards separately: `reward` lists {given}, expected at least {method.rewards}"
        if self.critic is not None and not method.critic:
            yield f"{name} has no critic: remove `critic`, which is for ppo"
        if self.critic is None and method.critic:
            yield f"{name} trains a critic, and `critic` is missing: set `critic: {{}}` to use its defaults"
        if batch.prompts % batch.mini:
            yield f"batch.prompts {batch.prompts} is not a multiple of batch.mini {batch.mini}"
        if (given := batch.micro_per_gpu) < method.micro:
            expected = f"batch.micro_per_gpu is {given}, expected at least {method.micro}"
            yield f"{name} compares the responses of a forward pass: {expected}"
        if method.on_policy and batch.mini != batch.prompts:
            yield f"{name} updates once per step: batch.mini is {batch.mini}, expected batch.prompts, {batch.prompts}"
        if self.best_metric is not None and not self.keep_best:
            yield "best_metric requires `keep_best: true`"
        if self.best_metric is not None and not re.match(r"val-(core|aux|\*)/.", self.best_metric):
            yield f"best_metric is {self.best_metric!r}, expected a validation metric of verl, such as val-core/*/reward/mean@1"
        if self.lora is not None and self.lora.rank > _LONGEST_RANK:
            yield f"lora.rank is {self.lora.rank}: vLLM supports at most {_LONGEST_RANK}"
        if self.validation != Validation() and self.validate_every is None:
            yield "validation requires `validate_every`"
        if (given := self.validation.samples) > 1 and self.validation.temperature == 0:
            yield (
                f"validation.samples is {given}: at temperature 0 all samples of a prompt are the same; "
                "remove `temperature`, or set it above 0"
            )
        if kl is not None and not method.kl:
            yield f"{name} has no KL penalty: remove `kl`, or use an algorithm that supports it, such as grpo"
        elif kl is not None and kl.place not in (None, *method.kl):
            yield f"kl.place is {kl.place}: {name} supports the penalty in the {method.kl[0]} only"


def is_tag(text: str) -> bool:
    """Return whether a text may be a tag of a repository."""
    return _TAG.fullmatch(text) is not None


def _find_entry_mistakes(entry: str | None, checkout: str | None) -> Iterator[str]:
    """Find an entry point or a checkout that cannot be one, or is without the other."""
    if entry is None:
        if checkout is not None:
            yield f"checkout {checkout} is for `entry`, which is missing: set it to a module in that folder"
        return
    if not _MODULE.fullmatch(entry):
        module = ".".join(re.findall(r"\w+", entry.removesuffix(".py")))
        hint = f"; did you mean {module!r}?" if _MODULE.fullmatch(module) else ", such as recipe.prime.main_prime"
        yield f"entry is {entry!r}, expected a Python module{hint}"
    elif checkout is None:
        yield f"entry {entry} needs `checkout`, the folder with its code"
    elif not Path(checkout).is_absolute() and not is_tag(checkout):
        yield f"checkout is {checkout!r}, expected a folder, which does not exist, or a tag of verl-recipe"


Stage = Annotated[SftStage | RlStage, Field(discriminator="kind")]


class Recipe(Model):
    """A whole post-training run."""

    name: Name
    """The run's name: its folder under `runs/`."""
    model: Annotated[Annotated[Location, Tag("(text)")] | Annotated[TinyModel, Tag("(mapping)")], Discriminator(_model_tag)]
    """The model that the first stage starts from: a folder, a hub name, or a tiny model to make."""
    revision: Revision | None = None
    """Branch, tag or commit of the hub name in `model`, which is downloaded before the first stage; default: main."""
    seed: int = Field(default=17, ge=0)
    """Seed of data order, splits, sampling and tiny models."""
    hardware: Hardware = Hardware()
    """The hardware of the run."""
    environments: Environments = Environments()
    """Existing Pythons to use instead of the pinned environments."""
    sandbox: Sandbox = Sandbox()
    """Where untrusted code runs."""
    stages: list[Stage] = Field(min_length=1)
    """The stages, in the order of execution."""
    evaluate: Evaluate | None = None
    """Evaluations of the model before the first stage and after each stage; default: none."""
    trackers: list[TrackerEntry] = Field(default=[])
    """Where the metrics of each stage are shown: names of trackers (tensorboard, wandb, mlflow, swanlab, trackio), or mappings
    with their options. They do not affect training: a change re-runs nothing."""
    retries: int = Field(default=3, ge=0)
    """How often a training that failed is resumed from its last checkpoint without a new checkpoint in between; 0: never."""
    stall_minutes: float | None = Field(default=30.0, gt=0)
    """A training without a metric, a line of log and CPU time for so long is ended and resumed; `null` waits forever."""
    notify: Notify | None = None
    """What is called when the run completes or fails; default: nothing."""
    report: Literal["live"] | None = None
    """`live` writes report.html in the run directory during the run; default: only `pipeline report` writes it."""
    launch: Launch = Launch()
    """How `pipeline submit` runs the recipe on a cluster: Slurm, Ray or KubeRay. It does not affect training: a change re-runs
    nothing."""

    @model_validator(mode="after")
    def _check_stage_names(self) -> Recipe:
        names = [stage.name for stage in self.stages]
        for name in sorted(names):
            if names.count(name) > 1:
                raise ValueError(f"two stages are named {name!r}")
        if self.revision is not None and not _is_hub_name(self.model):
            raise ValueError(f"revision {self.revision} is for a hub name in `model`")
        for stage in self.stages:
            if stage.revision is not None and (stage.init_from in names or not _is_hub_name(stage.init_from)):
                raise ValueError(f"stage {stage.name}: revision {stage.revision} is for a hub name in `init_from`")
        return self

    def hardware_of(self, stage: SftStage | RlStage) -> Hardware:
        """Return the hardware that a stage uses."""
        return self.hardware.model_copy(update=stage.hardware.model_dump(exclude_none=True))

    @property
    def uses_cluster(self) -> bool:
        """Whether a stage uses several machines."""
        return any(self.hardware_of(stage).nodes > 1 for stage in self.stages)

    def previous(self, stage: SftStage | RlStage) -> SftStage | RlStage | None:
        """Return the stage whose model a stage starts from; None: it starts from another model."""
        names = [each.name for each in self.stages]
        index = names.index(stage.name)
        if stage.init_from is None:
            return self.stages[index - 1] if index else None
        return self.stages[names.index(stage.init_from)] if stage.init_from in names[:index] else None

    def lineage(self, stage: SftStage | RlStage) -> list[SftStage | RlStage]:
        """Return a stage and all stages that its model comes from, the first stage last."""
        previous = self.previous(stage)
        return [stage] if previous is None else [stage, *self.lineage(previous)]

    def base_model(self, stage: SftStage | RlStage) -> str | TinyModel:
        """Return the model that the first stage of a stage's lineage starts from; all have its size and shape."""
        return self.lineage(stage)[-1].init_from or self.model

    def base_revision(self, stage: SftStage | RlStage) -> str | None:
        """Return the revision of the base model; None: main, or not a hub name."""
        first = self.lineage(stage)[-1]
        return self.revision if first.init_from is None else first.revision


def _is_hub_name(model: object) -> bool:
    """Return whether a model, whose paths are absolute, is a hub name."""
    return isinstance(model, str) and not Path(model).is_absolute()
