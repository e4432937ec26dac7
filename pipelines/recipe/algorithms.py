"""Algorithms by one word: what each name stands for in the pinned verl, where that comes from, and what it needs.

A name is nothing but settings: a recipe that says them under `verl:` trains the same.
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
"""What a stage's `algorithm` may be."""

KlPlace = Literal["loss", "reward"]

_ACTOR = "actor_rollout_ref.actor"
_LOSS_MODE = f"{_ACTOR}.policy_loss.loss_mode"
_AGGREGATION = f"{_ACTOR}.loss_agg_mode"
_CLIP_LOW, _CLIP_HIGH = f"{_ACTOR}.clip_ratio_low", f"{_ACTOR}.clip_ratio_high"
_WITHOUT_DEVIATION = {"algorithm.norm_adv_by_std_in_grpo": False}
# Without the factor verl divides by the longest response of each micro batch (core_algos.py `agg_loss`): with one response
# in it by that response's own length, the very bias that this aggregation is to remove.
_SUM_OVER_CONSTANT = {
    _AGGREGATION: "seq-mean-token-sum-norm",
    f"{_ACTOR}.loss_scale_factor": "${data.max_response_length}",
}
# verl's DPPO takes clip_ratio_c for the cap of the ratio; its example puts it out of reach.
_DPPO = {**_WITHOUT_DEVIATION, **_SUM_OVER_CONSTANT, f"{_ACTOR}.clip_ratio_c": 10000.0}


@dataclass(frozen=True)
class Algorithm:
    """One method as settings of verl."""

    title: str
    """Its whole name."""
    does: str
    """What sets it apart."""
    paper: str
    """Where it comes from: arXiv number, and the section."""
    upstream: str
    """The page or example in verl's repository, or its code, that the settings are taken from."""
    estimator: str
    """verl's `algorithm.adv_estimator`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of verl, dotted; all that is not here is verl's default."""
    samples: int = 2
    """Least `rollout.samples`."""
    micro: int = 1
    """Least `batch.micro_per_gpu`."""
    rewards: int = 1
    """Fewest rewards that the stage has to have."""
    greedy: bool = False
    """Whether a greedy response to each prompt is its baseline: generated and scored beside the samples, not trained on."""
    on_policy: bool = False
    """Whether one update has to take all prompts of a step."""
    kl: tuple[KlPlace, ...] = ("loss", "reward")
    """Where a KL penalty may sit, its usual place first; empty where the method has none."""

    @property
    def critic(self) -> bool:
        """Whether it trains a value model (verl's trainer/ppo/utils.py `need_critic`)."""
        return self.estimator == "gae"

    @property
    def needs(self) -> str:
        """What a stage has to say for it, in words."""
        needed = [f"rollout.samples at least {self.samples}"] if self.samples > 1 else []
        needed += [f"batch.micro_per_gpu at least {self.micro}"] if self.micro > 1 else []
        needed += [f"at least {self.rewards} rewards"] if self.rewards > 1 else []
        needed += ["batch.mini equal to batch.prompts"] if self.on_policy else []
        needed += ["a critic, which `critic` sets up"] if self.critic else ["no critic"]
        needed += [] if self.kl else ["no kl"]
        return ", ".join(needed)


ALGORITHMS: Mapping[AlgorithmName, Algorithm] = {
    "grpo": Algorithm(
        title="Group Relative Policy Optimization",
        does="a response's advantage is its score less the mean of its prompt's samples, divided by their deviation",
        paper="arXiv 2402.03300, section 4.1 (verl's loss is the mean over tokens, the paper's over responses)",
        upstream="docs/algo/grpo.md",
        estimator="grpo",
    ),
    "dr_grpo": Algorithm(
        title="GRPO done right",
        does="GRPO without the division by the deviation, and with a loss that favours no length of response",
        paper="arXiv 2503.20783, section 3.2",
        upstream="docs/algo/grpo.md, DrGRPO",
        estimator="grpo",
        settings={**_WITHOUT_DEVIATION, **_SUM_OVER_CONSTANT},
        kl=(),
    ),
    "dapo": Algorithm(
        title="Decoupled Clip and Dynamic Sampling Policy Optimization",
        does="GRPO with a wider upper clip; prompts whose samples all score the same are replaced by others",
        paper="arXiv 2503.14476, sections 3.1 to 3.3, KL section 2.3",
        upstream="recipe/dapo/run_dapo_qwen2.5_32b.sh",
        estimator="grpo",
        settings={
            "algorithm.filter_groups.enable": True,
            "algorithm.filter_groups.metric": "reward",
            _AGGREGATION: "token-mean",
            _CLIP_LOW: 0.2,
            _CLIP_HIGH: 0.28,
            # Published; where nothing differs, a step would go on for ever without.
            "algorithm.filter_groups.max_num_gen_batches": 10,
        },
        kl=(),
    ),
    "gspo": Algorithm(
        title="Group Sequence Policy Optimization",
        does="GRPO whose importance ratio and clipping are of whole responses instead of tokens",
        paper="arXiv 2507.18071, section 4.1, clip range section 5.1",
        upstream="examples/gspo_trainer/run_qwen3_8b_fsdp.sh",
        estimator="grpo",
        settings={_LOSS_MODE: "gspo", _AGGREGATION: "seq-mean-token-mean", _CLIP_LOW: 3e-4, _CLIP_HIGH: 4e-4},
    ),
    "cispo": Algorithm(
        title="Clipped Importance Sampling Policy Optimization",
        does="GRPO that clips the weight of a token and keeps its gradient, instead of dropping the token",
        paper="arXiv 2506.13585, section 3.1",
        upstream="examples/cispo_trainer/run_qwen3_8b_fsdp.sh",
        estimator="grpo",
        settings={_LOSS_MODE: "cispo", _AGGREGATION: "token-mean", _CLIP_LOW: 10.0, _CLIP_HIGH: 0.2},
    ),
    "sapo": Algorithm(
        title="Soft Adaptive Policy Optimization",
        does="GRPO with a smooth gate in place of the clip, steeper where the advantage is negative",
        paper="arXiv 2511.20347",
        upstream="examples/sapo_trainer/run_qwen3_8b_fsdp.sh",
        estimator="grpo",
        settings={
            _LOSS_MODE: "sapo",
            _AGGREGATION: "seq-mean-token-mean",
            f"{_ACTOR}.tau_pos": 1.0,
            f"{_ACTOR}.tau_neg": 1.05,
        },
    ),
    "clip_cov": Algorithm(
        title="Clip-Cov",
        does="GRPO that leaves out a few tokens whose probability and advantage vary together most, to keep entropy",
        paper="arXiv 2505.22617, section 4.2",
        upstream="recipe/entropy/7b_clip_cov.sh",
        estimator="grpo",
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
        does="GRPO that holds back the tokens whose probability and advantage vary together most, to keep entropy",
        paper="arXiv 2505.22617, section 4.2",
        upstream="recipe/entropy/7b_kl_cov.sh",
        estimator="grpo",
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
        does="GRPO that leaves a token out where its probability has moved too far, instead of its ratio",
        paper="arXiv 2602.04879",
        upstream="examples/dppo_trainer/run_qwen3_30b_a3b_megatron.sh",
        estimator="grpo",
        settings={**_DPPO, _LOSS_MODE: "dppo_tv", _CLIP_LOW: 0.15, _CLIP_HIGH: 0.15},
    ),
    "dppo_kl": Algorithm(
        title="Divergence PPO, KL divergence",
        does="as dppo_tv, measured by the KL divergence of the token from all others",
        paper="arXiv 2602.04879",
        upstream="examples/dppo_trainer/run_qwen3_30b_a3b_megatron.sh",
        estimator="grpo",
        settings={**_DPPO, _LOSS_MODE: "dppo_kl", _CLIP_LOW: 0.05, _CLIP_HIGH: 0.05},
    ),
    "grpo_passk": Algorithm(
        title="GRPO for pass@k",
        does="only a prompt's best response has an advantage: how far it is above the second best",
        paper="arXiv 2503.19595",
        upstream="verl/trainer/ppo/core_algos.py, compute_grpo_passk_outcome_advantage",
        estimator="grpo_passk",
    ),
    "gdpo": Algorithm(
        title="Group reward-Decoupled Normalization Policy Optimization",
        does="GRPO on each of several rewards by itself; their advantages are added by weight, and normalized over the batch",
        paper="arXiv 2601.05242",
        upstream="verl/trainer/ppo/core_algos.py, compute_gdpo_outcome_advantage",
        estimator="gdpo",
        rewards=2,
        # The estimator reads the rewards and not what a penalty makes of them.
        kl=("loss",),
    ),
    "rloo": Algorithm(
        title="REINFORCE Leave-One-Out",
        does="a response's advantage is its score less the mean of its prompt's other samples",
        paper="arXiv 2402.14740 (verl clips as PPO does)",
        upstream="examples/rloo_trainer/run_qwen3_8b_fsdp.sh",
        estimator="rloo",
        kl=("reward", "loss"),
    ),
    "reinforce_plus_plus": Algorithm(
        title="REINFORCE++",
        does="a token's advantage is what is scored from it on, normalized over the whole batch; one sample is enough",
        paper="arXiv 2501.03262, section 3",
        upstream="examples/reinforce_plus_plus_trainer/run_qwen3_8b_fsdp.sh",
        estimator="reinforce_plus_plus",
        samples=1,
        kl=("reward", "loss"),
    ),
    "reinforce_plus_plus_baseline": Algorithm(
        title="REINFORCE++ with a baseline",
        does="the score less the mean of the prompt's samples, normalized over the whole batch",
        paper="arXiv 2501.03262, section 3",
        upstream="examples/reinforce_plus_plus_trainer/run_qwen3_8b_fsdp.sh",
        estimator="reinforce_plus_plus_baseline",
        kl=("reward", "loss"),
    ),
    "remax": Algorithm(
        title="ReMax",
        does="a response's advantage is its score less that of a greedy response to the prompt; one sample is enough",
        paper="arXiv 2310.10505 (verl clips as PPO does)",
        upstream="examples/remax_trainer, verl/trainer/ppo/core_algos.py, compute_remax_outcome_advantage",
        estimator="remax",
        samples=1,
        greedy=True,
        kl=("reward", "loss"),
    ),
    "opo": Algorithm(
        title="On-Policy RL with Optimal Reward Baseline",
        does="the score less the mean of the prompt's samples, each weighted by its length; one update per step",
        paper="arXiv 2505.23585",
        upstream="docs/algo/opo.md",
        estimator="opo",
        on_policy=True,
        kl=(),
    ),
    "gpg": Algorithm(
        title="Group Policy Gradient",
        does="the plain policy gradient on scores less their prompt's mean: no ratio, no clip",
        paper="arXiv 2504.02546",
        upstream="docs/algo/gpg.md, examples/gpg_trainer/run_qwen3_8b_fsdp.sh",
        estimator="gpg",
        settings={_LOSS_MODE: "gpg", _AGGREGATION: "token-mean"},
        # A penalty in the reward makes every score differ from zero, and verl scales by the share of those that do.
        kl=("loss",),
    ),
    "ppo": Algorithm(
        title="Proximal Policy Optimization",
        does="a value model beside the policy says what to expect of each token (generalized advantage estimation)",
        paper="arXiv 1707.06347, section 3; arXiv 1506.02438, section 3",
        upstream="docs/algo/ppo.md",
        estimator="gae",
        samples=1,
        kl=("reward", "loss"),
    ),
}
"""Every algorithm by its name."""
