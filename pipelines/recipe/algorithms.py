"""The algorithms of reinforcement learning: the verl settings behind each name, their source, and their requirements.

A name stands for these settings only: a recipe that sets them under `verl:` trains the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

AlgorithmName = Literal[
    "grpo",
    "dr_grpo",
    "dapo",
    "gspo",
    "cispo",
    "sapo",
    "clip_cov",
    "kl_cov",
    "dppo_tv",
    "dppo_kl",
    "grpo_passk",
    "gdpo",
    "rloo",
    "reinforce_plus_plus",
    "reinforce_plus_plus_baseline",
    "remax",
    "opo",
    "gpg",
    "ppo",
]
"""The values of a stage's `algorithm`."""

KlPlace = Literal["loss", "reward"]

_ACTOR = "actor_rollout_ref.actor"
_LOSS_MODE = f"{_ACTOR}.policy_loss.loss_mode"
_AGGREGATION = f"{_ACTOR}.loss_agg_mode"
_CLIP_LOW, _CLIP_HIGH = f"{_ACTOR}.clip_ratio_low", f"{_ACTOR}.clip_ratio_high"
_WITHOUT_DEVIATION = {"algorithm.norm_adv_by_std_in_grpo": False}
# Without the factor, verl divides by the longest response of each micro batch (core_algos.py `agg_loss`); for a micro batch of
# one response that is its own length, the bias that this aggregation is meant to remove.
_SUM_OVER_CONSTANT = {
    _AGGREGATION: "seq-mean-token-sum-norm",
    f"{_ACTOR}.loss_scale_factor": "${data.max_response_length}",
}
# verl's DPPO caps the ratio at clip_ratio_c; its example sets it out of reach.
_DPPO = {**_WITHOUT_DEVIATION, **_SUM_OVER_CONSTANT, f"{_ACTOR}.clip_ratio_c": 10000.0}


@dataclass(frozen=True)
class Algorithm:
    """An algorithm as settings of verl."""

    title: str
    """The full name."""
    description: str
    """How it differs from the others."""
    paper: str
    """The publication: arXiv number and section."""
    upstream: str
    """The source of the settings: a page, example or code of verl's repository."""
    estimator: str = "grpo"
    """verl's `algorithm.adv_estimator`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Other keys of verl, dotted; keys that are not listed have verl's defaults."""
    samples: int = 2
    """Minimum `rollout.samples`."""
    micro: int = 1
    """Minimum `batch.micro_per_gpu`."""
    rewards: int = 1
    """Minimum number of rewards of the stage."""
    greedy: bool = False
    """Whether the baseline is the score of a greedy response to each prompt, which is not trained on."""
    on_policy: bool = False
    """Whether a step has a single update with all its prompts."""
    kl: tuple[KlPlace, ...] = ("loss", "reward")
    """Supported places of a KL penalty, the usual one first; empty: not supported."""

    @property
    def critic(self) -> bool:
        """Whether a value model is trained (verl's trainer/ppo/utils.py `need_critic`)."""
        return self.estimator == "gae"

    @property
    def requirements(self) -> str:
        """The requirements on a stage, in words."""
        required = [f"rollout.samples at least {self.samples}"] if self.samples > 1 else []
        required += [f"batch.micro_per_gpu at least {self.micro}"] if self.micro > 1 else []
        required += [f"at least {self.rewards} rewards"] if self.rewards > 1 else []
        required += ["batch.mini equal to batch.prompts"] if self.on_policy else []
        required += ["`critic`"] if self.critic else ["no `critic`"]
        required += [] if self.kl else ["no `kl`"]
        return ", ".join(required)


ALGORITHMS: Mapping[AlgorithmName, Algorithm] = {
    "grpo": Algorithm(
        title="Group Relative Policy Optimization",
        description="the advantage is the score minus the mean of the prompt's samples, divided by their standard deviation",
        paper="arXiv 2402.03300, section 4.1 (verl averages the loss over tokens, the paper over responses)",
        upstream="docs/algo/grpo.md",
    ),
    "dr_grpo": Algorithm(
        title="GRPO done right",
        description="GRPO without the division by the standard deviation, with a loss that is not biased by response length",
        paper="arXiv 2503.20783, section 3.2",
        upstream="docs/algo/grpo.md, DrGRPO",
        settings={**_WITHOUT_DEVIATION, **_SUM_OVER_CONSTANT},
        kl=(),
    ),
    "dapo": Algorithm(
        title="Decoupled Clip and Dynamic Sampling Policy Optimization",
        description="GRPO with a higher upper clip range; prompts whose samples all score the same are replaced",
        paper="arXiv 2503.14476, sections 3.1 to 3.3, KL section 2.3",
        upstream="recipe/dapo/run_dapo_qwen2.5_32b.sh",
        settings={
            "algorithm.filter_groups.enable": True,
            "algorithm.filter_groups.metric": "reward",
            _AGGREGATION: "token-mean",
            _CLIP_LOW: 0.2,
            _CLIP_HIGH: 0.28,
            # As published; without a limit, a step never ends if no prompt has samples that differ.
            "algorithm.filter_groups.max_num_gen_batches": 10,
        },
        kl=(),
    ),
    "gspo": Algorithm(
        title="Group Sequence Policy Optimization",
        description="GRPO with importance ratio and clipping per response instead of per token",
        paper="arXiv 2507.18071, section 4.1, clip range section 5.1",
        upstream="examples/gspo_trainer/run_qwen3_8b_fsdp.sh",
        settings={_LOSS_MODE: "gspo", _AGGREGATION: "seq-mean-token-mean", _CLIP_LOW: 3e-4, _CLIP_HIGH: 4e-4},
    ),
    "cispo": Algorithm(
        title="Clipped Importance Sampling Policy Optimization",
        description="GRPO that clips the importance weight of a token but keeps its gradient",
        paper="arXiv 2506.13585, section 3.1",
        upstream="examples/cispo_trainer/run_qwen3_8b_fsdp.sh",
        settings={_LOSS_MODE: "cispo", _AGGREGATION: "token-mean", _CLIP_LOW: 10.0, _CLIP_HIGH: 0.2},
    ),
    "sapo": Algorithm(
        title="Soft Adaptive Policy Optimization",
        description="GRPO with a smooth gate instead of the clip, steeper for negative advantages",
        paper="arXiv 2511.20347",
        upstream="examples/sapo_trainer/run_qwen3_8b_fsdp.sh",
        settings={
            _LOSS_MODE: "sapo",
            _AGGREGATION: "seq-mean-token-mean",
            f"{_ACTOR}.tau_pos": 1.0,
            f"{_ACTOR}.tau_neg": 1.05,
        },
    ),
    "clip_cov": Algorithm(
        title="Clip-Cov",
        description="GRPO without a few tokens of high covariance of probability and advantage, to preserve entropy",
        paper="arXiv 2505.22617, section 4.2",
        upstream="recipe/entropy/7b_clip_cov.sh",
        settings={
            _LOSS_MODE: "clip_cov",
            _AGGREGATION: "token-mean",
            _CLIP_LOW: 1.0,
            _CLIP_HIGH: 1.0,
            f"{_ACTOR}.policy_loss.clip_cov_ratio": 0.0002,
            f"{_ACTOR}.policy_loss.clip_cov_lb": 1.0,
            f"{_ACTOR}.policy_loss.clip_cov_ub": 5.0,
        },
        micro=2,
    ),
    "kl_cov": Algorithm(
        title="KL-Cov",
        description="GRPO with a KL penalty on tokens of high covariance of probability and advantage, to preserve entropy",
        paper="arXiv 2505.22617, section 4.2",
        upstream="recipe/entropy/7b_kl_cov.sh",
        settings={
            _LOSS_MODE: "kl_cov",
            _AGGREGATION: "token-mean",
            f"{_ACTOR}.policy_loss.kl_cov_ratio": 0.002,
            f"{_ACTOR}.policy_loss.ppo_kl_coef": 1.0,
        },
        micro=2,
    ),
    "dppo_tv": Algorithm(
        title="Divergence PPO, total variation",
        description="GRPO that masks tokens whose probability (not ratio) has changed too much",
        paper="arXiv 2602.04879",
        upstream="examples/dppo_trainer/run_qwen3_30b_a3b_megatron.sh",
        settings={**_DPPO, _LOSS_MODE: "dppo_tv", _CLIP_LOW: 0.15, _CLIP_HIGH: 0.15},
    ),
    "dppo_kl": Algorithm(
        title="Divergence PPO, KL divergence",
        description="as dppo_tv, with the KL divergence between the token and all others",
        paper="arXiv 2602.04879",
        upstream="examples/dppo_trainer/run_qwen3_30b_a3b_megatron.sh",
        settings={**_DPPO, _LOSS_MODE: "dppo_kl", _CLIP_LOW: 0.05, _CLIP_HIGH: 0.05},
    ),
    "grpo_passk": Algorithm(
        title="GRPO for pass@k",
        description="only a prompt's best response has an advantage: its score minus the second best",
        paper="arXiv 2503.19595",
        upstream="verl/trainer/ppo/core_algos.py, compute_grpo_passk_outcome_advantage",
        estimator="grpo_passk",
    ),
    "gdpo": Algorithm(
        title="Group reward-Decoupled Normalization Policy Optimization",
        description="GRPO on several rewards separately; the weighted sum of their advantages is normalized over the batch",
        paper="arXiv 2601.05242",
        upstream="verl/trainer/ppo/core_algos.py, compute_gdpo_outcome_advantage",
        estimator="gdpo",
        rewards=2,
        # The estimator reads the rewards without a penalty.
        kl=("loss",),
    ),
    "rloo": Algorithm(
        title="REINFORCE Leave-One-Out",
        description="the advantage is the score minus the mean of the prompt's other samples",
        paper="arXiv 2402.14740 (verl clips as in PPO)",
        upstream="examples/rloo_trainer/run_qwen3_8b_fsdp.sh",
        estimator="rloo",
        kl=("reward", "loss"),
    ),
    "reinforce_plus_plus": Algorithm(
        title="REINFORCE++",
        description="a token's advantage is its return, normalized over the batch; one sample is enough",
        paper="arXiv 2501.03262, section 3",
        upstream="examples/reinforce_plus_plus_trainer/run_qwen3_8b_fsdp.sh",
        estimator="reinforce_plus_plus",
        samples=1,
        kl=("reward", "loss"),
    ),
    "reinforce_plus_plus_baseline": Algorithm(
        title="REINFORCE++ with a baseline",
        description="the advantage is the score minus the mean of the prompt's samples, normalized over the batch",
        paper="arXiv 2501.03262, section 3",
        upstream="examples/reinforce_plus_plus_trainer/run_qwen3_8b_fsdp.sh",
        estimator="reinforce_plus_plus_baseline",
        kl=("reward", "loss"),
    ),
    "remax": Algorithm(
        title="ReMax",
        description="the advantage is the score minus that of a greedy response to the prompt; one sample is enough",
        paper="arXiv 2310.10505 (verl clips as in PPO)",
        upstream="examples/remax_trainer, verl/trainer/ppo/core_algos.py, compute_remax_outcome_advantage",
        estimator="remax",
        samples=1,
        greedy=True,
        kl=("reward", "loss"),
    ),
    "opo": Algorithm(
        title="On-Policy RL with Optimal Reward Baseline",
        description="the advantage is the score minus the length-weighted mean of the prompt's samples; one update per step",
        paper="arXiv 2505.23585",
        upstream="docs/algo/opo.md",
        estimator="opo",
        on_policy=True,
        kl=(),
    ),
    "gpg": Algorithm(
        title="Group Policy Gradient",
        description="the plain policy gradient on the score minus the prompt's mean: no ratio, no clip",
        paper="arXiv 2504.02546",
        upstream="docs/algo/gpg.md, examples/gpg_trainer/run_qwen3_8b_fsdp.sh",
        estimator="gpg",
        settings={_LOSS_MODE: "gpg", _AGGREGATION: "token-mean"},
        # verl scales by the share of non-zero scores; with a penalty in the reward, all scores are non-zero.
        kl=("loss",),
    ),
    "ppo": Algorithm(
        title="Proximal Policy Optimization",
        description="a value model estimates the expected return at each token (generalized advantage estimation)",
        paper="arXiv 1707.06347, section 3; arXiv 1506.02438, section 3",
        upstream="docs/algo/ppo.md",
        estimator="gae",
        samples=1,
        kl=("reward", "loss"),
    ),
}
"""All algorithms by name."""


@dataclass(frozen=True)
class Outside:
    """An algorithm that verl's core does not have."""

    title: str
    """The full name."""
    description: str
    """How it differs from the others."""
    paper: str
    """The publication."""
    entry: str
    """The value of a stage's `entry`."""
    checkout: str
    """What a stage's `checkout` is."""
    reason: str
    """Why verl's core does not have it."""
    status: str
    """What was tried, and what it needs."""


OUTSIDE: Mapping[str, Outside] = {
    "prime": Outside(
        title="Process Reinforcement through Implicit Rewards",
        description="an implicit reward model of tokens, trained with the policy on the outcomes",
        paper="arXiv 2502.01456",
        entry="recipe.prime.main_prime",
        checkout="the verl-recipe repository",
        reason="it left verl for the verl-recipe repository: a program with a trainer and workers of its own",
        status="not tried; it needs the verl of its REQUIRED_VERL.txt, see docs/entry-points.md",
    ),
}
"""Known algorithms for which a stage needs an `entry`."""
