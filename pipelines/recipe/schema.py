"""Recipe and its stages: the typed fields that people change, each with its meaning and unit.

Whatever has no field here is an upstream key: it goes under `verl:` or `llamafactory:` of a stage and is checked
against the pinned upstream's own keys (see `upstream.py`). Unknown keys are refused everywhere.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from pipelines.recipe.algorithms import ALGORITHMS, Algorithm, AlgorithmName, KlPlace
from preprocess.config import Data, FilePath, Location, Model, PathRule, Sandbox

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
"""A name that is also a folder's name."""


UpstreamKeys = dict[str, Any]
"""Keys of an upstream trainer, nested or dotted, passed on as they are."""


def _shape(value: Any) -> str:
    """Picks the one member of a union that a value can be, so that an error speaks of that one alone."""
    return "(mapping)" if isinstance(value, dict | BaseModel) else "(text)"


class TinyModel(Model):
    """A model made on the spot, with random weights and a tokenizer of its own: for trying a recipe without a hub."""

    make: Literal["qwen2", "qwen3", "llama"]
    """The architecture, as `transformers` names it."""
    like: Location | None = None
    """A model whose architecture, tokenizer and chat template it takes, where they can be had: a folder, or a hub name that
    is in the cache or can be fetched. Where not, `make` says the architecture, and the tokenizer is its own."""
    vocabulary: int = Field(default=1024, ge=300, le=65536)
    """Tokens in the vocabulary, trained as byte-level BPE on the prompts and answers of the run's own rows."""
    hidden_size: int = Field(default=128, ge=64)
    """Width of the residual stream."""
    layers: int = Field(default=2, ge=1)
    """Transformer blocks."""
    heads: int = Field(default=4, ge=1)
    """Attention heads; hidden_size / heads must be a head size that vLLM knows on a CPU (32, 64, 80, 96, 128 …)."""
    max_tokens: int = Field(default=2048, ge=128)
    """Longest sequence: prompt and response together."""

    @model_validator(mode="after")
    def _head_size(self) -> TinyModel:
        head_size = self.hidden_size / self.heads
        if head_size not in (32, 64, 80, 96, 112, 128, 192, 256):
            raise ValueError(
                f"hidden_size {self.hidden_size} / heads {self.heads} gives a head size of {head_size:g}; "
                "vLLM on a CPU knows 32, 64, 80, 96, 112, 128, 192 and 256"
            )
        return self


class Hardware(Model):
    """What the run is trained on."""

    platform: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes cuda where an NVIDIA GPU is seen and cpu elsewhere."""
    nodes: int = Field(default=1, ge=1)
    """Machines."""
    gpus_per_node: int = Field(default=1, ge=1)
    """GPUs on each machine; on cpu, data-parallel worker processes."""


class Environments(Model):
    """Existing Pythons to use instead of the pinned environments, for people who work in an upstream's container."""

    llamafactory: FilePath | None = None
    """A Python that has LLaMA-Factory; the variable PIPELINE_LLAMAFACTORY_PYTHON says the same."""
    verl: FilePath | None = None
    """A Python that has verl and vLLM; the variable PIPELINE_VERL_PYTHON says the same."""


class Lora(Model):
    """Low-rank adapters instead of full fine-tuning; merged into the model before it is handed on."""

    rank: int = Field(default=8, ge=1)
    """Rank of the adapters."""
    alpha: int = Field(default=16, ge=1)
    """Scale of the adapters: their product is multiplied by alpha / rank."""
    target: str = "all"
    """Modules that get an adapter, comma-separated; `all` is every linear layer."""


class SftBatch(Model):
    """How many rows make one optimizer step of supervised fine-tuning: per_device x accumulate x devices."""

    per_device: int = Field(default=1, ge=1)
    """Rows in one forward pass on one device."""
    accumulate: int = Field(default=1, ge=1)
    """Forward passes per optimizer step."""


class RlBatch(Model):
    """How many prompts make one step of reinforcement learning."""

    prompts: int = Field(ge=1)
    """Prompts per step; each is answered `rollout.samples` times."""
    mini: int = Field(ge=1)
    """Prompts per optimizer update."""
    micro_per_gpu: int = Field(default=1, ge=1)
    """Responses in one forward pass on one device."""


class Rollout(Model):
    """How responses are generated."""

    samples: int = Field(default=1, ge=1)
    """Responses per prompt (verl's rollout.n); most algorithms compare them with each other, so they need two or more."""
    max_prompt_tokens: int = Field(ge=1)
    """Longest prompt."""
    max_response_tokens: int = Field(ge=1)
    """Longest response."""
    temperature: float = Field(default=1.0, gt=0)
    """Sampling temperature in training; at 0 all responses to a prompt would be the same."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling in training."""
    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs that share one copy of the model while generating."""
    gpu_memory: float = Field(default=0.5, gt=0, le=1)
    """Share of a GPU's memory that vLLM may take."""


class Tool(Model):
    """The interpreter that the model may call while it answers: for rows that name the tool."""

    name: Literal["python_interpreter"]
    """The tool."""
    stateful: bool = False
    """Variables live from call to call of one response; if not, each call is a fresh program."""
    seconds: float = Field(default=30.0, gt=0)
    """CPU time of a call; it may last twice as long."""
    max_output_chars: int = Field(default=4000, ge=200, le=25000)
    """Longest reply; one that is longer loses its middle."""
    concurrency: int = Field(default=32, ge=1)
    """Calls that run at once in each process that generates responses."""
    max_turns: int = Field(default=10, ge=2)
    """Turns of the model in one response; calls that it makes in the last one are not run."""
    format: Literal["hermes", "qwen3_coder", "gpt-oss", "glm", "seed", "minimax", "kimi", "deepseek_v4"] = "hermes"
    """How the model's chat template writes calls: verl's name of what reads them. Its gemma4 loses code of several lines."""


class Critic(Model):
    """The value model that PPO trains beside the policy; it starts from the stage's own first model."""

    learning_rate: float = Field(default=1.0e-5, gt=0)
    """Peak learning rate of the critic."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps in which only the critic is trained."""


class Kl(Model):
    """Keeping the policy near the model that the stage began with."""

    place: KlPlace | None = None
    """Whether the penalty is a term of the loss or taken off the reward; if not said, the algorithm's usual place."""
    coefficient: float = Field(default=0.001, gt=0)
    """Weight of the penalty."""
    estimator: Literal["kl", "abs", "mse", "low_var_kl"] | None = None
    """How the divergence is estimated from samples: kl is Schulman's k1, mse k2, low_var_kl k3. If not said, verl's own for
    the place: low_var_kl in the loss, kl in the reward."""


class Reward(Model):
    """What a response is worth."""

    name: str
    """A reward's name (`pipeline rewards list` shows them)."""
    options: dict[str, Any] = Field(default={})
    """Options of the reward."""
    file: FilePath | None = None
    """A Python file that registers the reward; it lies at the same path on every machine of the run."""
    weight: float = Field(default=1.0, allow_inf_nan=False)
    """What its score is multiplied by before the scores are added."""
    data_source: str | None = Field(default=None, min_length=1)
    """Rows it takes, by a pattern of their data sources (`bootcamp/*`; `*` is every row); if not said, those that no
    other pattern takes."""


def _reward_shape(value: Any) -> str:
    return "(list)" if isinstance(value, list) else _shape(value)


class _Stage(Model):
    """What every stage has."""

    name: Name
    """The stage's name: its folder in the run directory, and what `init_from` and `--from` call it."""
    init_from: Annotated[str, Field(min_length=1), PathRule(hub=True, stage=True)] | None = None
    """A stage's name, a model folder or a hub name; if not said the stage before, for the first the recipe's model."""
    data: Data
    """Training and validation rows."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the training rows; say this or `steps`."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps (sft) or rollout steps (rl); say this or `epochs`."""
    learning_rate: float = Field(gt=0)
    """Peak learning rate."""
    save_every: int | None = Field(default=None, ge=1)
    """Steps between checkpoints, from which a killed run resumes; the last step is always saved."""
    validate_every: int | None = Field(default=None, ge=1)
    """Steps between validations; none if not said."""
    keep_checkpoints: int | None = Field(default=2, ge=1)
    """Newest checkpoints kept; `null` keeps all."""
    keep_best: bool = False
    """Hand on the checkpoint whose validation was best, which is kept beside the newest; the last one if not."""

    @model_validator(mode="after")
    def _one_length(self) -> _Stage:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("say `epochs` or `steps`, one of the two")
        return self

    @model_validator(mode="after")
    def _best_is_known(self) -> _Stage:
        save, validate = self.save_every, self.validate_every
        if not self.keep_best:
            return self
        if save is None or validate is None:
            missing = [name for name, value in (("save_every", save), ("validate_every", validate)) if value is None]
            raise ValueError(f"keep_best takes `save_every` and `validate_every`; say {' and '.join(missing)}")
        if save % validate:
            nearest = max(1, round(save / validate)) * validate
            raise ValueError(
                f"keep_best: save_every {save} is not a multiple of validate_every {validate}, "
                f"so that checkpoints are saved which are not validated; save_every: {nearest} is the nearest"
            )
        return self


class SftStage(_Stage):
    """Supervised fine-tuning on conversations."""

    kind: Literal["sft"]
    trainer: Literal["llamafactory", "verl"] = "llamafactory"
    """Who trains: LLaMA-Factory, or verl's own trainer of supervised fine-tuning."""
    template: str | None = "qwen"
    """LLaMA-Factory's chat template. `qwen` keeps the tokenizer's own, `chatml`, `alpaca` and others replace it; `null` is what
    LLaMA-Factory reads out of the tokenizer's own, for rows without tools. verl always takes the tokenizer's own."""
    lora: Lora | None = None
    """Train adapters only; the whole model if not said."""
    packing: bool = False
    """Let short rows share a sequence, in which they do not see each other, instead of padding them: by LLaMA-Factory a
    sequence has max_tokens and counts as one row of the batch; by verl it has up to batch.per_device x max_tokens, on GPUs
    with flash-attn."""
    batch: SftBatch = SftBatch()
    """Rows per optimizer step."""
    max_tokens: int = Field(default=2048, ge=16)
    """Longest conversation; longer ones are cut."""
    llamafactory: UpstreamKeys = Field(default={})
    """Any key of LLaMA-Factory's training configuration, where it trains."""
    verl: UpstreamKeys = Field(default={})
    """Any key of verl's SFT trainer configuration, where it trains."""

    @model_validator(mode="before")
    @classmethod
    def _no_template_of_verls(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("trainer") == "verl":
            return {"template": None, **given}
        return given

    @model_validator(mode="after")
    def _template_fits(self) -> SftStage:
        if self.trainer == "verl" and self.template is not None:
            raise ValueError(
                f"template {self.template} is LLaMA-Factory's: verl renders with the tokenizer's own chat template; take it out"
            )
        return self

    @model_validator(mode="after")
    def _packs_fit(self) -> SftStage:
        # LLaMA-Factory asserts it at the first step (data/collator.py, v0.9.5).
        flash, rows = self.llamafactory.get("flash_attn") == "fa2", self.batch.per_device
        if self.packing and flash and rows > 1:
            raise ValueError(
                f"packing: with flash_attn: fa2, LLaMA-Factory takes one sequence at a time, and batch.per_device is {rows}; "
                f"say per_device: 1, accumulate: {rows * self.batch.accumulate}"
            )
        return self

    @model_validator(mode="after")
    def _every_validation_is_saved(self) -> SftStage:
        # transformers notes the best of all validations, and hands on the last step where that one was not saved.
        if self.keep_best and self.trainer == "llamafactory" and self.save_every != self.validate_every:
            raise ValueError(
                f"keep_best: LLaMA-Factory compares every validation, so each has to be saved: "
                f"save_every is {self.save_every}, validate_every {self.validate_every}; make them equal"
            )
        return self


class RlStage(_Stage):
    """Reinforcement learning by verl."""

    kind: Literal["rl"]
    algorithm: AlgorithmName
    """How advantages are estimated and the policy updated (`pipeline algorithms` explains each name)."""
    reward: Annotated[
        Annotated[str, Tag("(text)")]
        | Annotated[Reward, Tag("(mapping)")]
        | Annotated[Annotated[list[Reward], Field(min_length=1)], Tag("(list)")],
        Discriminator(_reward_shape),
    ]
    """What a response is worth: a reward's name, its name and options, or several whose weighted scores are added."""
    max_failed_rewards: float = Field(default=0.1, ge=0, le=1)
    """Share of responses (of at least 32 on the way, of all at the end) whose reward may fail before the run stops.
    They score 0, and are kept in train/rewards/failures.jsonl with their errors."""
    max_reward_seconds: float = Field(default=240.0, gt=0)
    """Longest time that a reward of your own may take for a response; then it has failed. Built-in rewards limit the
    programs that they run."""
    batch: RlBatch
    """Prompts per step."""
    rollout: Rollout
    """How responses are generated."""
    tool: Tool | None = None
    """The interpreter that the model may call while it answers; none if not said."""
    critic: Critic | None = None
    """The value model: for ppo, which needs one (`critic: {}` takes every default)."""
    kl: Kl | None = None
    """Penalty for leaving the model the stage began with; none if not said."""
    best_metric: str | None = None
    """What `keep_best` chooses by, the greatest value winning: a validation metric by verl's name, or several by a pattern
    with `*`, whose mean decides. If not said, the mean score of the validation rows, each data source counting alike."""
    verl: UpstreamKeys = Field(default={})
    """Any key of verl's PPO trainer configuration."""

    @model_validator(mode="after")
    def _reward_fits(self) -> RlStage:
        if isinstance(self.reward, Reward) and self.reward.data_source is not None:
            raise ValueError("reward.data_source: a single reward takes every row; a pattern is for a list of rewards")
        return self

    @property
    def rewards(self) -> list[Reward]:
        """The stage's rewards, however they are written."""
        given = self.reward if isinstance(self.reward, list) else [self.reward]
        return [Reward(name=each) if isinstance(each, str) else each for each in given]

    @property
    def method(self) -> Algorithm:
        """What the stage's algorithm stands for."""
        return ALGORITHMS[self.algorithm]

    @model_validator(mode="after")
    def _algorithm_fits(self) -> RlStage:
        name, method, batch = self.algorithm, self.method, self.batch
        if self.rollout.samples < method.samples:
            raise ValueError(
                f"{name} compares the samples of one prompt: rollout.samples is {self.rollout.samples}, "
                f"at least {method.samples} needed"
            )
        if len(self.rewards) < method.rewards:
            raise ValueError(
                f"{name} takes the advantage of each reward by itself: `reward` has {len(self.rewards)}, "
                f"at least {method.rewards} needed"
            )
        if self.critic is not None and not method.critic:
            raise ValueError(f"{name} has no critic; `critic` is for ppo")
        if self.critic is None and method.critic:
            usual = Critic()
            raise ValueError(
                f"{name} trains a critic, and `critic` is missing: say `critic: {{learning_rate: {usual.learning_rate}}}`"
            )
        if batch.prompts % batch.mini:
            raise ValueError(f"batch.prompts {batch.prompts} is not a multiple of batch.mini {batch.mini}")
        if batch.micro_per_gpu < method.micro:
            raise ValueError(
                f"{name} compares the responses of one forward pass: batch.micro_per_gpu is {batch.micro_per_gpu}, "
                f"at least {method.micro} needed"
            )
        if method.on_policy and batch.mini != batch.prompts:
            raise ValueError(f"{name} updates once per step: batch.mini is {batch.mini}, batch.prompts {batch.prompts} needed")
        return self

    @model_validator(mode="after")
    def _best_metric_decides(self) -> RlStage:
        if self.best_metric is None:
            return self
        if not self.keep_best:
            raise ValueError("best_metric is what keep_best chooses by, and keep_best is false: say `keep_best: true`")
        if not self.best_metric.startswith("val-"):
            raise ValueError(
                f"best_metric is {self.best_metric!r}, expected verl's name of a validation metric, "
                "such as val-core/*/reward/mean@1"
            )
        return self

    @model_validator(mode="after")
    def _kl_fits(self) -> RlStage:
        places = self.method.kl
        if self.kl is not None and not places:
            raise ValueError(f"{self.algorithm} has no KL penalty: take `kl` out, or take grpo, which may have one")
        if self.kl is not None and self.kl.place is not None and self.kl.place not in places:
            raise ValueError(f"kl.place is {self.kl.place}: {self.algorithm} takes the penalty in the {places[0]} only")
        return self


Stage = Annotated[SftStage | RlStage, Field(discriminator="kind")]


class Recipe(Model):
    """A whole post-training run."""

    name: Name
    """The run's name: its folder under `runs/`."""
    model: Annotated[Annotated[Location, Tag("(text)")] | Annotated[TinyModel, Tag("(mapping)")], Discriminator(_shape)]
    """The model that the first stage starts from: a folder, a hub name, or a tiny model made on the spot."""
    seed: int = Field(default=17, ge=0)
    """Seed of data order, splits, sampling and made models."""
    hardware: Hardware = Hardware()
    """What the run is trained on."""
    environments: Environments = Environments()
    """Existing Pythons to use instead of the pinned environments."""
    sandbox: Sandbox = Sandbox()
    """Where rewards run code that nobody trusts."""
    stages: list[Stage] = Field(min_length=1)
    """The stages, in the order in which they run."""

    @model_validator(mode="after")
    def _stage_names(self) -> Recipe:
        names = [stage.name for stage in self.stages]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two stages are called {twice[0]!r}")
        return self
