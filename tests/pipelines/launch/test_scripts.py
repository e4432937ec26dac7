"""What is submitted, as text: golden files, and bash's and Kubernetes' view of it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipelines.errors import InputError
from pipelines.launch import kuberay
from pipelines.launch.ray import script as ray_script
from pipelines.launch.slurm import script as slurm_script
from pipelines.recipe.launching import KubeRaySettings, RaySettings, SlurmSettings
from tests.pipelines.launch.making import make_job, make_settings

FULL = {
    "partition": "gpu",
    "account": "lab",
    "time": "2-00:00:00",
    "cpus": 96,
    "memory": "512GiB",
    "options": ["--qos=high", "--comment=a b"],
    "modules": ["cuda/13.0"],
    "setup": ["export GLOO_SOCKET_IFNAME=ib0"],
}
APPTAINER = {"image": "/shared/image.sif", "mounts": ["/shared", "/data"], "options": ["--nv"]}
PYXIS = {"image": "registry#team/image:1", "runtime": "pyxis", "mounts": ["/shared"]}
ODD = "a b'c$(touch owned)%j#\"\\"

SLURM: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "two-nodes": ({}, FULL),
    "one-node-cpu": ({"nodes": 1, "gpus": 0, "workers": 2}, {}),
    "seeds": ({"nodes": 1, "seeds": (1, 2, 3)}, {"stop_before": 600}),
    "apptainer": ({"paths": ()}, {"container": APPTAINER}),
    "pyxis": ({"paths": ()}, {"container": PYXIS}),
}


def render(job: dict[str, Any], settings: dict[str, Any]) -> str:
    return slurm_script.render(make_job(**job), SlurmSettings.model_validate(settings))


@pytest.mark.parametrize("name", SLURM)
def test_slurm_scripts(name: str, golden: Callable[[str, str], None]) -> None:
    text = render(*SLURM[name])
    golden(f"launch/{name}.sh", text)
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""


def test_odd_paths_are_quoted(tmp_path: Path) -> None:
    """Runs the script with programs instead of Slurm's, in a folder whose name bash and Slurm could misread."""
    job = make_job(runs=tmp_path / ODD, nodes=1, pipeline=str(tmp_path / ODD / "pipe line"), paths=(tmp_path / ODD,))
    (tmp_path / ODD / "mine" / "launch").mkdir(parents=True)
    program = Path(job.pipeline)
    program.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "srun").write_text('#!/bin/bash\nwhile [ "$1" != bash ]; do shift; done; exec "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    text = slurm_script.render(job, SlurmSettings())
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7"}
    done = subprocess.run(["bash"], input=text, text=True, capture_output=True, env=environment, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["run", f"{tmp_path}/{ODD}/mine/launch/recipe.yaml", "--runs", f"{tmp_path}/{ODD}"]
    assert not (tmp_path / "owned").exists()
    (output,) = (line for line in text.splitlines() if line.startswith("#SBATCH") and "--output" in line)
    assert shlex.split(output)[1] == f"--output={tmp_path}/{ODD}/mine/launch/slurm-%j.log".replace("%j#", "%%j#")


def test_a_file_that_a_node_lacks_ends_the_job(tmp_path: Path) -> None:
    job = make_job(runs=tmp_path, nodes=1, paths=(tmp_path / "missing",))
    (tmp_path / "mine" / "launch").mkdir(parents=True)
    (tmp_path / "srun").write_text('#!/bin/bash\nwhile [ "$1" != bash ]; do shift; done; exec "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7", "SLURMD_NODENAME": "n4"}
    text = slurm_script.render(job, SlurmSettings())
    done = subprocess.run(["bash"], input=text, text=True, capture_output=True, env=environment)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"error: n4 has no {tmp_path}/missing; it must be on a file system that all nodes share\n"


def test_ray_script(golden: Callable[[str, str], None]) -> None:
    settings = RaySettings(address="http://head:8265", setup=["export A=b"])
    golden("launch/ray.sh", ray_script.render(make_job(runs=Path("/shared/my runs")), "mine", settings))
    assert "\nunset RAY_ADDRESS RAY_JOB_CONFIG_JSON_ENV_VAR\n" in ray_script.render(make_job(nodes=1), "mine", settings)
    assert ray_script.entrypoint(make_job(runs=Path("/my runs")), "mine") == "bash '/my runs/mine/launch/ray.sh'"


SCHEMA = json.loads(Path(__file__).with_name("rayjob.schema.json").read_text())


@pytest.mark.parametrize(
    ("name", "job"),
    {
        "kuberay": {"name": "My_run.2"},
        "kuberay-one-node": {"nodes": 1, "recipe": ("execverify.yaml", "--set", "model=a b")},
        "kuberay-seeds": {"nodes": 1, "gpus": 0, "workers": 2, "seeds": (1, 2)},
    }.items(),
)
def test_kuberay_manifests(name: str, job: dict[str, Any], golden: Callable[[str, str], None]) -> None:
    settings = KubeRaySettings(image="registry/image:1", claim="shared", mount="/shared", node_selector={"gpu": "h100"})
    text = kuberay.render(make_job(**job), settings)
    golden(f"launch/{name}.yaml", text)
    for manifest in yaml.safe_load_all(text):
        jsonschema.validate(manifest, SCHEMA)
        broken = {**manifest, "spec": {**manifest["spec"], "entryPoint": "pipeline"}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, SCHEMA)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"runs": Path("/home/me/runs")}, "the run directory, /home/me/runs, is not in /shared, and the pods would not see it"),
        ({"recipe": ("/home/mine.yaml",)}, "the recipe, /home/mine.yaml, is not in /shared, and the pods would not see it"),
    ],
)
def test_what_the_pods_would_not_see(job: dict[str, Any], message: str) -> None:
    settings = make_settings(kuberay={"image": "a", "claim": "b", "mount": "/shared"})
    with pytest.raises(InputError, match=re.escape(f"mine.yaml:3: launch.kuberay.mount: {message}")):
        kuberay.check(make_job(**job), settings)
