"""Stages with another entry point: the command, the package of the checkout, and what is read from its files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipelines.errors import InputError, SettingError
from pipelines.trainers.verl.rl import entry as entry_module
from pipelines.trainers.verl.rl.config import launch
from pipelines.trainers.verl.rl.entry import compose_overrides, digest_sources, find_entry, mentions
from tests import ROOT
from tests.pipelines.trainers.verl.stages import context, rl_stage

CHECKOUT = ROOT / "tests/real/own_entries"

PROGRAM = """\
import hydra

@hydra.main(config_path="config", config_name="own")
def main(config):
    ...

if __name__ == "__main__":
    main()
"""


def make_checkout(folder: Path, program: str = PROGRAM, config: str = "defaults: [ppo_trainer, _self_]\n") -> Path:
    """Write `mine/program.py` with its configuration."""
    (folder / "mine/config").mkdir(parents=True)
    (folder / "mine/program.py").write_text(program)
    (folder / "mine/config/own.yaml").write_text(config)
    return folder


def test_the_same_settings_over_the_entrys_configuration() -> None:
    plain, own = rl_stage(), rl_stage(entry="recipe.scaled.main_scaled", checkout=str(CHECKOUT))
    before, now = launch(plain, context(plain)), launch(own, context(own))
    settings = yaml.safe_load(before.files["train.yaml"])
    assert yaml.safe_load(now.files["train.yaml"]) == {
        key: value for key, value in settings.items() if key not in ("defaults", "hydra")
    }
    assert now.argv == (
        *("/environment/bin/python", "-m", "recipe.scaled.main_scaled"),
        *("--config-dir", "/runs/demo/stages/one", "+train@_global_=train"),
        "hydra.searchpath=['pkg://verl.trainer.config']",
        *("hydra/job_logging=stdout", "hydra.output_subdir=null", "hydra.run.dir=."),
    )


def test_a_checkout_that_is_the_first_package() -> None:
    stage = rl_stage(entry="recipe.scaled.main_scaled", checkout=str(CHECKOUT))
    rendered = launch(stage, context(stage))
    assert rendered.environment["PYTHONPATH"] == "/runs/demo/stages/one/train/packages"
    assert rendered.files["packages/recipe/__init__.py"].endswith(f"__path__ = ['{CHECKOUT}']\n")


def test_a_checkout_that_contains_the_first_package(tmp_path: Path) -> None:
    stage = rl_stage(entry="mine.program", checkout=str(make_checkout(tmp_path)))
    rendered = launch(stage, context(stage))
    assert rendered.environment["PYTHONPATH"] == str(tmp_path)
    assert not [name for name in rendered.files if name.startswith("packages")]


def test_a_checkout_that_is_not_here_is_rendered() -> None:
    stage = rl_stage(entry="mine.program", checkout="/nowhere")
    assert not find_entry(stage).exists
    assert launch(stage, context(stage)).environment["PYTHONPATH"] == "/nowhere"


def test_hydras_search_path_is_kept(tmp_path: Path) -> None:
    config = "hydra: {searchpath: [file://verl/trainer/config, file://mine/more, 'file:///else where', pkg://own.configs]}\n"
    stage = rl_stage(entry="mine.program", checkout=str(make_checkout(tmp_path / "it's", config=config)))
    searchpath, *_ = [each for each in compose_overrides(find_entry(stage), Path("/s/train")) if "searchpath" in each]
    more = f"{tmp_path}/it\\'s/mine/more"
    assert searchpath == (
        f"hydra.searchpath=['file:///s','file://{more}','file:///else where','pkg://own.configs','pkg://verl.trainer.config']"
    )


@pytest.mark.parametrize(
    ("program", "config", "message"),
    [
        ("main = 1\n", "", "has no function with @hydra.main"),
        (PROGRAM.replace("__main__", "__no__"), "", "has no `if __name__ == '__main__'`"),
        (PROGRAM.replace('"own"', '"none"'), "", "mine/config/none.yaml, which does not exist"),
        (PROGRAM.replace('config_path="config"', "config_path=FOLDER"), "", "has no config_path and config_name"),
        (PROGRAM.replace('"config"', '"pkg://own"'), "", "has no config_path and config_name"),
        ("def main(:\n", "", "is not Python: line 1"),
        ("\0", "", "is not Python"),
        (PROGRAM, "a: [\n", "mine/config/own.yaml, which is not YAML"),
    ],
)
def test_a_program_that_cannot_be_started(program: str, config: str, message: str, tmp_path: Path) -> None:
    stage = rl_stage(entry="mine.program", checkout=str(make_checkout(tmp_path, program, config)))
    with pytest.raises(SettingError) as raised:
        find_entry(stage)
    assert message in raised.value.message and "\n" not in raised.value.message
    assert raised.value.loc == ("stages", "one", "entry")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("mine.progam", "has no module mine.progam; did you mean 'mine.program'?"),
        ("recipe.mine.progam", "has no module recipe.mine.progam; did you mean 'recipe.mine.program'?"),
        ("xyzzy", "has no module xyzzy; its programs are"),
    ],
)
def test_an_unknown_module(entry: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=message.replace("?", r"\?")):
        find_entry(rl_stage(entry=entry, checkout=str(make_checkout(tmp_path))))


def test_the_digest_is_of_sources_only(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path)
    before = digest_sources(checkout)
    for name in ("README.md", ".git/config.py", "mine/__pycache__/x.py", "runs/mine/run.json", "runs/mine/train.yaml"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("{}")
    assert digest_sources(checkout) == before
    (checkout / "mine/config/own.yaml").write_text("a: 1\n")
    assert digest_sources(checkout) != before


def test_a_folder_that_is_not_one_of_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = make_checkout(tmp_path)
    (checkout / "dangling.py").symlink_to("nowhere.py")
    digest_sources(checkout)
    monkeypatch.setattr(entry_module, "_MOST_FILES", 1)
    with pytest.raises(InputError, match="has more than 1 Python and YAML files"):
        digest_sources(checkout)


def test_names_that_a_checkout_registers(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path, 'register("my_loss")')
    assert mentions(checkout, "my_loss") and not mentions(checkout, "my_los")
