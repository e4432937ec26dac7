"""The metrics of the trainers by topic."""

from __future__ import annotations

import pytest

from pipelines.reports.catalogue import TOPICS, find_place


@pytest.mark.parametrize(
    ("metric", "topic", "title", "label", "role"),
    [
        ("loss", "Loss", "training loss", "", "line"),
        ("train/loss", "Loss", "training loss", "", "line"),
        ("eval_loss", "Loss", "validation loss", "", "line"),
        ("val/loss", "Loss", "validation loss", "", "line"),
        ("critic/score/mean", "Reward", "reward", "mean", "line"),
        ("critic/score/min", "Reward", "reward", "min", "low"),
        ("critic/rewards/max", "Reward", "reward after the KL penalty", "max", "high"),
        ("val-core/openai/gsm8k/reward/mean@1", "Validation", "reward", "openai/gsm8k", "line"),
        ("val-aux/openai/gsm8k/accuracy/mean@4", "Validation", "accuracy", "openai/gsm8k", "line"),
        ("val-core/a/accuracy/best@4/mean", "Validation", "accuracy/best@4/mean", "a", "line"),
        ("val-aux/a/has_accuracy/mean@1", "Other", "val-aux/a/has_accuracy/mean@1", "", "line"),
        ("val-aux/num_turns/mean", "Tool use", "turns per validation response", "mean", "line"),
        ("response_length/clip_ratio", "Reward health", "responses cut at the limit", "clip_ratio", "line"),
        ("response_length/mean", "Length", "response", "mean", "line"),
        ("actor/entropy", "Entropy", "entropy", "entropy", "line"),
        ("actor/kl_loss", "KL divergence", "from the initial model", "kl_loss", "line"),
        ("actor/reward_kl_penalty", "KL divergence", "from the initial model", "reward_kl_penalty", "line"),
        ("grad_norm", "Gradient norm", "gradient norm", "", "line"),
        ("actor/grad_norm", "Gradient norm", "gradient norm", "", "line"),
        ("actor/pg_clipfrac", "Clip share", "policy", "pg_clipfrac", "line"),
        ("timing_s/update_actor", "Time", "seconds per step by phase", "update_actor", "part"),
        ("timing_s/step", "Time", "seconds per step", "", "line"),
        ("actor/perf/max_memory_allocated_gb", "Memory", "GPU memory, peak", "allocated", "line"),
        ("train/lr", "Learning rate", "learning rate", "", "line"),
        ("samples/value/accuracy", "Reward components", "accuracy", "", "line"),
        ("samples/constant", "Reward health", "groups whose responses have equal rewards", "", "line"),
        ("something/new", "Other", "something/new", "", "line"),
    ],
)
def test_place(metric: str, topic: str, title: str, label: str, role: str) -> None:
    place = find_place(metric)
    assert (TOPICS[place.topic].name, place.title, place.label, place.role) == (topic, title, label, role)
