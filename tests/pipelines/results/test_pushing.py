"""Pushes to a stand-in of the hub, by the huggingface_hub of a trainer's environment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.environments import TrainerName
from pipelines.run.plan import Plan, stage_paths
from tests.pipelines.conftest import Call
from tests.pipelines.results.hub import TOKEN, Hub, Repository, serve_hub

FILES = {"config.json", "model.safetensors", "tokenizer_config.json", "README.md"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trainer_python: Callable[[TrainerName], Path]) -> Iterator[Hub]:
    """A hub, a token for it, and a home without a login."""
    with serve_hub() as hub:
        for name, value in {
            "REAL_PYTHON": str(trainer_python("llamafactory")),
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": TOKEN,
            # Its own protocol for large files is another service.
            "HF_HUB_DISABLE_XET": "1",
        }.items():
            monkeypatch.setenv(name, value)
        for name in ("HF_HUB_OFFLINE", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
            monkeypatch.delenv(name, raising=False)
        yield hub


def test_a_model_with_its_card(plan: Plan, hub: Hub, call: Call) -> None:
    status, out, err = call("push", "runs/smoke", "me/my-model", "--stage", "sft", "--private")
    assert status == 0, err
    pushed = hub.repositories["me/my-model"]
    assert pushed.private
    assert pushed.messages == ["Upload smoke, sft"]
    assert set(pushed.files) == FILES
    model = stage_paths(plan.directory, "sft").model
    assert pushed.files["model.safetensors"] == (model / "model.safetensors").read_bytes()
    assert "vllm serve me/my-model" in pushed.files["README.md"].decode()
    assert not (model / "README.md").exists(), "the run is not changed"
    assert "model.safetensors" in out and f"pushed: {hub.endpoint}/me/my-model/commit/" in err
    assert TOKEN not in out + err
    assert not list(plan.directory.glob(".push*"))


@pytest.mark.nightly
def test_a_checkpoint_is_converted_first(plan: Plan, hub: Hub, call: Call) -> None:
    status, out, err = call("push", "runs/smoke", "me/step", "--stage", "stage-one", "--step", "1", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert (found["version"], found["stage"], found["step"], found["dry_run"]) == (1, "stage-one", 1, False)
    assert {each["name"] for each in found["files"]} == set(hub.repositories["me/step"].files) == FILES
    assert "# smoke: stage-one@1" in hub.repositories["me/step"].files["README.md"].decode()


@pytest.mark.nightly
def test_a_second_push_adds_a_commit(plan: Plan, hub: Hub, call: Call) -> None:
    hub.repositories["me/my-model"] = Repository(files={"README.md": b"old", "other.txt": b"kept"})
    assert call("push", "runs/smoke", "me/my-model", "--stage", "sft")[0] == 0
    files = hub.repositories["me/my-model"].files
    assert files["other.txt"] == b"kept" and files["README.md"] != b"old"


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("token", "repository", "status", "message"),
    [
        (None, "me/new", 2, "not logged in to the hub: set HF_TOKEN to a token that may write, or log in once with `"),
        ("hf_wrongwrongwrongwrong", "me/new", 2, "does not accept the token"),
        (TOKEN, "others/new", 2, "the token may not write there"),
    ],
)
def test_without_the_right_to_write(
    plan: Plan,
    hub: Hub,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    repository: str,
    status: int,
    message: str,
) -> None:
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    found, out, err = call("push", "runs/smoke", repository, "--stage", "sft")
    assert found == status
    error = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1 and message in error[0]
    assert "Traceback" not in err and (token is None or token not in out + err)
    assert hub.repositories == {}


@pytest.mark.nightly
def test_a_public_repository_is_not_made_private_in_silence(plan: Plan, hub: Hub, call: Call) -> None:
    hub.repositories["me/open"] = Repository(private=False)
    status, _, err = call("push", "runs/smoke", "me/open", "--stage", "sft", "--private")
    assert status == 2
    assert "it exists and is public; make it private on the hub first, or leave out --private" in err
    assert hub.repositories["me/open"].files == {}


@pytest.mark.nightly
def test_a_hub_that_cannot_be_reached(plan: Plan, hub: Hub, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    status, _, err = call("push", "runs/smoke", "me/my-model", "--stage", "sft")
    assert status == 1
    assert "me/my-model: the hub (http://127.0.0.1:9) cannot be reached" in err


def test_a_dry_run_asks_nothing(plan: Plan, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, out, err = call("push", "runs/smoke", "me/my-model", "--stage", "sft", "--dry-run")
    assert status == 0, err
    for name in FILES:
        assert f"{name}\t" in out
    assert "all files\t" in out and "dry run: nothing was uploaded to me/my-model" in err
    status, out, _ = call("push", "runs/smoke", "me/step", "--stage", "stage-one", "--step", "2", "--dry-run", "--json")
    found = json.loads(out)
    assert (found["dry_run"], found["url"], found["repository"]) == (True, None, "me/step")
    assert {each["name"] for each in found["files"]} == FILES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["my-model"], "'my-model' is not a name on the hub; expected owner/name, such as me/smoke"),
        (["me/../x"], "is not a name on the hub"),
        (["me/a--b"], "is not a name on the hub"),
        (["me/my-model", "--step", "1"], "a step is of a stage: runs/smoke/STAGE@1; its stages are sft, stage-one, stage-two"),
        (["me/my-model", "--stage", "stage-one", "--step", "7"], "no checkpoint of step 7; it has checkpoints of 1 and 2"),
    ],
)
def test_mistakes_are_one_line(plan: Plan, call: Call, arguments: list[str], message: str) -> None:
    stage = [] if "--step" in arguments else ["--stage", "sft"]
    status, _, err = call("push", "runs/smoke", *arguments, *stage, "--dry-run")
    assert status == 2
    assert message in err and err.count("\n") == 1


def test_offline(plan: Plan, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, _, err = call("push", "runs/smoke", "me/my-model", "--stage", "sft")
    assert status == 2 and "HF_HUB_OFFLINE is set: nothing can be pushed" in err
