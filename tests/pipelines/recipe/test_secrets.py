"""Which keys hold secrets, and addresses with users and passwords."""

from __future__ import annotations

import pytest

from pipelines.recipe.secrets import hide_users, is_secret


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("WANDB_API_KEY", True),
        ("HF_TOKEN", True),
        ("MLFLOW_TRACKING_PASSWORD", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("trainer.hub_token", True),
        ("max_tokens", False),
        ("tokenizer", False),
        ("PATH", False),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


@pytest.mark.parametrize("name", ["aws_secret_access_key", "private_key", "verl.x.credentials", "hf.token"])
def test_other_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", ["data.prompt_key", "data.reward_fn_key", "custom_key", "tokens", "password_file"])
def test_names_that_only_look_like_secrets(name: str) -> None:
    assert not is_secret(name)


def test_users_in_addresses() -> None:
    text = "git clone https://me:pass@host/x at a@b"
    assert hide_users(text) == "git clone https://(hidden)@host/x at a@b"
    assert hide_users(text, "") == "git clone https://host/x at a@b"
