"""`launch` in a recipe and in a site's file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.launch.settings import read_settings
from pipelines.recipe.loading import load
from tests.pipelines.conftest import Call


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "site.yaml"


def write(name: str, launch: str) -> Path:
    Path(name).write_text(f"extends: smoke.yaml\nname: mine\n{launch}\n")
    return Path(name)


def test_a_recipe_is_merged_over_the_sites_file(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write_text("launch:\n  slurm: {partition: gpu, account: lab}\n  ray: {address: 'http://${env:HEAD:head}:8265'}\n")
    recipe = write("mine.yaml", "launch: {slurm: {partition: long}}")
    assert read_settings(load(recipe)).launch.ray is None
    monkeypatch.setenv("PIPELINE_SITE", str(site))
    found = read_settings(load(recipe))
    assert found.launch.slurm is not None and found.launch.ray is not None
    assert (found.launch.slurm.partition, found.launch.slurm.account) == ("long", "lab")
    assert found.launch.ray.address == "http://head:8265"
    assert found.where("slurm", "partition") == "mine.yaml:3: launch.slurm.partition"
    assert found.where("slurm", "account") == "site.yaml:2: launch.slurm.account"
    given = read_settings(load(recipe, ["launch.slurm.partition=short"]))
    assert given.where("slurm", "partition") == "--set launch.slurm.partition"


def test_the_users_site_file(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "code-post-training"
    folder.mkdir(parents=True)
    (folder / "site.yaml").write_text("launch: {slurm: {partition: gpu}}\n")
    slurm = read_settings(load(write("mine.yaml", ""))).launch.slurm
    assert slurm is not None and slurm.partition == "gpu"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("launch: {slurm: {partitoin: gpu}}", "site.yaml:1: launch.slurm.partitoin: unknown key; did you mean 'partition'?"),
        ("lanch: {}", "site.yaml:1: lanch: unknown key; did you mean 'launch'?"),
    ],
)
def test_mistakes_in_the_sites_file(site: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    site.write_text(text)
    monkeypatch.setenv("PIPELINE_SITE", str(site))
    with pytest.raises(InputError) as raised:
        read_settings(load(write("mine.yaml", "")))
    assert str(raised.value) == message


def test_a_missing_site_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_SITE", "/missing.yaml")
    with pytest.raises(InputError, match=r"^PIPELINE_SITE: /missing.yaml not found; expected a file with the key launch$"):
        read_settings(load(write("mine.yaml", "")))


@pytest.mark.parametrize(
    ("launch", "message"),
    [
        ("slurm: {time: 24h}", "launch.slurm.time: found '24h'"),
        ('slurm: {time: "5"}', "launch.slurm: time 5 is 300 seconds, and stop_before 300: nothing would be trained"),
        ('slurm: {time: "0-0:05:00"}', "launch.slurm: time 0-0:05:00 is 300 seconds, and stop_before 300"),
        ('slurm: {time: "0:5:00"}', "launch.slurm.time: found '0:5:00', expected minutes"),
        ("slurm: {partition: 'a b'}", "launch.slurm.partition: found 'a b'"),
        ('slurm: {setup: ["a\\nb"]}', "launch.slurm.setup[0]: found "),
        ("slurm: {options: [qos=high]}", "launch.slurm.options[0]: found 'qos=high'"),
        (
            "ray: {address: head:8265}",
            "launch.ray.address: found 'head:8265', expected the dashboard's, such as http://head:8265",
        ),
        (
            "ray: {address: 'http://me:secret@head:8265'}",
            "launch.ray.address: found a URL with a password; set RAY_AUTH_TOKEN instead",
        ),
        ("kuberay: {image: a, claim: b, mount: shared}", "launch.kuberay.mount: found 'shared'"),
    ],
)
def test_mistakes_in_a_recipe(launch: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        load(write("mine.yaml", f"launch: {{{launch}}}"))
    assert str(raised.value).startswith(f"mine.yaml:3: {message}")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to", "ray"), "launch.ray is missing; expected `launch: {ray: {address: http://HEAD:8265}}`"),
        (("--to", "kuberay"), "launch.kuberay is missing; expected image, claim and mount in launch.kuberay"),
        (("--to", "slurm", "--seeds", "1,x"), "error: --seeds 1,x: expected different whole numbers, such as 1,2,3"),
        (("--to", "slurm", "--seeds", "1,1"), "error: --seeds 1,1: expected different whole numbers, such as 1,2,3"),
        (("--to", "slurm", "--seeds", "1", "--smoke"), "error: use either --seeds or --smoke"),
        (("--to", "lsf"), "'lsf' is not one of 'slurm', 'ray', 'kuberay'; see `pipeline submit -h`"),
    ],
)
def test_mistakes_on_the_command_line(call: Call, options: tuple[str, ...], message: str) -> None:
    write("mine.yaml", "hardware: {platform: cpu}")
    status, out, err = call("submit", "mine.yaml", "--dry-run", *options)
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1


def test_kuberay_is_a_dry_run_only(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.environments.choice.Environment.why_not_ready", lambda self: None)
    write("mine.yaml", f"launch: {{kuberay: {{image: a/b, claim: shared, mount: {tmp_path}}}}}")
    status, out, err = call("submit", "mine.yaml", "--to", "kuberay")
    assert (status, out) == (2, "")
    assert err == "error: --to kuberay prints a manifest: use --dry-run, and give it to `kubectl apply -f -`\n"
    assert [each.name for each in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_dry_run_prints_the_script_and_writes_nothing(call: Call, tmp_path: Path) -> None:
    write("mine.yaml", "launch: {slurm: {partition: gpu}}")
    status, out, _ = call("submit", "mine.yaml", "--to", "slurm", "--dry-run", "--set", "hardware.nodes=2")
    assert status == 0
    assert "#SBATCH --partition=gpu\n#SBATCH --nodes=2\n" in out and "#SBATCH --gpus-per-node=1\n" in out
    assert "environments/cuda/bin/python" in out
    status, plan, _ = call("plan", "mine.yaml", "--full")
    assert status == 0 and "--- pipeline submit mine.yaml --to slurm\n#!/bin/bash\n" in plan
    assert [each.name for each in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_job_has_room_for_the_largest_stage(call: Call) -> None:
    write("mine.yaml", "launch: {slurm: {}}")
    larger = ("--set", "stages.stage-two.hardware={nodes: 2, gpus_per_node: 2}")
    status, out, err = call("submit", "mine.yaml", "--to", "slurm", "--dry-run", *larger)
    assert status == 0, err
    assert "#SBATCH --nodes=2\n" in out and "#SBATCH --gpus-per-node=2\n" in out


def test_environments_that_are_not_built(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.environments.choice.Environment.why_not_ready", lambda self: "it is not built")
    write("mine.yaml", "launch: {slurm: {}}")
    status, _, err = call("submit", "mine.yaml", "--to", "slurm")
    assert status == 2
    assert "the environment of verl for cuda: it is not built; nodes may have no network: build it here with" in err
