"""Missing packages, servers and credentials, before anything starts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.cli import main as cli
from pipelines.recipe.loading import load
from pipelines.trackers import readiness
from tests import ROOT

SMOKE = ROOT / "recipes/smoke.yaml"
ENVIRONMENT = (
    "WANDB_API_KEY",
    "WANDB_MODE",
    "WANDB_BASE_URL",
    "MLFLOW_TRACKING_URI",
    "SWANLAB_API_KEY",
    "SWANLAB_MODE",
    "NETRC",
)


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(readiness, "find_spec", lambda name: object())
    yield


def find(trackers: str) -> list[str]:
    return readiness.find_problems(load(SMOKE, [f"trackers={trackers}"]))


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow", "swanlab", "trackio"])
def test_a_missing_package_is_one_line_and_status_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(readiness, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pipeline", "run", str(SMOKE), "--set", f"trackers=[{name}]"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == 2
    error = capsys.readouterr().err
    assert error == (
        f"error: --set trackers: trackers[0]: {name} is not installed; "
        f"install it with: pip install 'code-post-training[{name}]'\n"
    )
    assert not (tmp_path / "runs").exists()


def test_a_plan_names_what_this_machine_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another machine could run it, so it is no mistake of the recipe."""
    monkeypatch.setattr(readiness, "find_spec", lambda name: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pipeline", "plan", str(SMOKE), "--brief", "--set", "trackers=[wandb]"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code == 0
    assert "wandb is not installed; install it with: pip install 'code-post-training[wandb]'" in capsys.readouterr().out


def test_extras_are_those_of_the_message() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"tensorboard", "wandb", "mlflow", "swanlab", "trackio"} <= project["optional-dependencies"].keys()


@pytest.mark.parametrize(
    ("trackers", "expected"),
    [
        ("[wandb]", "not logged in to W&B (api.wandb.ai); run `wandb login`, set WANDB_API_KEY, or set `offline: true`"),
        ('[{"name": "wandb", "url": "https://wandb.example"}]', "not logged in to W&B (wandb.example)"),
        ("[mlflow]", "mlflow has no server; set `url` to its tracking URI, or MLFLOW_TRACKING_URI"),
        ("[swanlab]", "not logged in to SwanLab; run `swanlab login`, set SWANLAB_API_KEY, or set `offline: true`"),
    ],
)
def test_missing_credentials(trackers: str, expected: str) -> None:
    (problem,) = find(trackers)
    assert problem.startswith(f"--set trackers: trackers[0]: {expected}")


@pytest.mark.parametrize(
    "trackers",
    ["[tensorboard, trackio]", '[{"name": "wandb", "offline": true}, {"name": "swanlab", "offline": true}]'],
)
def test_local_trackers_need_none(trackers: str) -> None:
    assert find(trackers) == []


@pytest.mark.parametrize(
    ("name", "value", "trackers"),
    [
        ("WANDB_API_KEY", "k", "[wandb]"),
        ("WANDB_MODE", "offline", "[wandb]"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:1", "[mlflow]"),
        ("SWANLAB_API_KEY", "k", "[swanlab]"),
        ("SWANLAB_MODE", "local", "[swanlab]"),
    ],
)
def test_the_trackers_own_variables_count(name: str, value: str, trackers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert find(trackers) == []


def test_the_file_of_wandb_login_counts(tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password k\n")
    assert find("[wandb]") == []
    assert len(find('[{"name": "wandb", "url": "https://wandb.example"}]')) == 1
    (tmp_path / ".netrc").write_text("machine\n")
    assert len(find("[wandb]")) == 1


def test_a_server_that_does_not_answer_is_a_note() -> None:
    loaded = load(SMOKE, ['trackers=[{"name": "mlflow", "url": "http://127.0.0.1:9/x"}, "tensorboard"]'])
    ((name, line),) = readiness.find_unreachable(loaded)
    assert name == "mlflow"
    assert line.startswith("http://127.0.0.1:9 does not answer: ") and line.endswith("; a run starts, and sends later")
    assert "\n" not in line
