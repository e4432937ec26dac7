"""Recipes and Ray on a real Slurm cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.launch import jobs, submission
from pipelines.records.runs import open_run
from pipelines.records.submission import read_submission
from pipelines.run import process
from tests import ROOT
from tests.pipelines.launch.making import make_job, make_settings
from tests.pipelines.launch.slurm_cluster import Cluster, start_cluster

pytestmark = pytest.mark.nightly

PIPELINE = str(Path(sys.executable).with_name("pipeline"))

RECIPE = f"""
name: mine
model: {{make: qwen2, vocabulary: 512, hidden_size: 64, layers: 1, heads: 1, max_tokens: 512}}
hardware: {{platform: cpu}}
launch:
  slurm: {{partition: main, time: "2:00:00", stop_before: 3600}}
stages:
  - name: sft
    kind: sft
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    steps: 6000
    learning_rate: 0.001
    save_every: 50
    batch: {{per_device: 2}}
    max_tokens: 256
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with start_cluster() as running:
        for name, value in running.variables.items():
            monkeypatch.setenv(name, value)
        yield running


def call(*arguments: str, folder: Path) -> str:
    done = subprocess.run([PIPELINE, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_training_is_stopped_near_the_time_limit_requeued_and_finished(
    cluster: Cluster, environments: None, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(RECIPE)
    directory = tmp_path / "runs" / "mine"
    try:
        assert "submitted runs/mine: Slurm job" in call("submit", "mine.yaml", "--to", "slurm", folder=tmp_path)
        job = read_submission(directory)
        assert job is not None
        log = directory / job.log
        checkpoints = directory / "stages" / "sft" / "checkpoints"
        cluster.wait_for(lambda: any(checkpoints.glob("checkpoint-*/trainer_state.json")), "a checkpoint")
        # The job's limit is now an hour, less than the hour before it at which the run is to be stopped.
        cluster.call("scontrol", "update", f"JobId={job.id}", "TimeLimit=60")
        cluster.wait_for(lambda: jobs.find_state(job) == ("pending", "BeginTime"), "the requeue")
        assert not process.find_processes(directory)
        assert open_run(directory).state == "interrupted"
        status = call("status", "mine", folder=tmp_path)
        assert "interrupted at sft" in status and f"Slurm job {job.id}, pending (BeginTime)" in status
        # Otherwise the second attempt would be stopped like the first.
        cluster.call("scontrol", "update", f"JobId={job.id}", "TimeLimit=120")
        cluster.release(job.id)
        # Not the end of all jobs: between two attempts a job may be missing in the queue.
        cluster.wait_for(lambda: "JobState=COMPLETED" in cluster.call("scontrol", "show", "job", job.id), "the job's end")
        run = open_run(directory)
        assert run.state == "complete", log.read_text()
        training = run.stage("sft").training
        assert training is not None and training.record is not None and training.record.attempts == 2
        text = log.read_text()
        assert "resumes from the checkpoint at step" in text
        assert f"near the time limit: job {job.id} is requeued and resumes the run" in text
        metrics = [json.loads(line) for line in (directory / "stages/sft/metrics.jsonl").read_text().splitlines()]
        assert max(each["step"] for each in metrics) == 6000
    finally:
        process.end_orphans(directory)


def test_ray_runs_on_the_allocation_and_ends_with_the_job(
    cluster: Cluster, trainer_python: Callable[[str], Path], tmp_path: Path
) -> None:
    """The program that is run instead of `pipeline` asks the cluster for its nodes, and adds numbers on both."""
    verl = trainer_python("verl")
    asks = f"""
        #!{verl}
        import json, os, ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as Affinity
        ray.init("auto", log_to_driver=False)
        nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        where = ray.remote(lambda: os.environ.get("SLURMD_NODENAME"))
        names = ray.get([where.options(scheduling_strategy=Affinity(node, soft=False)).remote() for node in nodes])
        print("found", json.dumps(sorted(names)), ray.cluster_resources()["GPU"], os.environ["RAY_AUTH_MODE"], flush=True)
    """
    program = tmp_path / "program"
    program.write_text(textwrap.dedent(asks).strip() + "\n")
    program.chmod(0o755)
    job = make_job(
        runs=tmp_path / "runs", gpus=0, workers=1, pipeline=str(program), verl=str(verl), import_path=str(ROOT), paths=(verl,)
    )
    (run,) = submission.submit(job, "slurm", make_settings(slurm={}), {"mine": "name: mine\n"}, lambda name: None, print)
    cluster.wait_until_ended()
    log = (run.directory / run.job.log).read_text()
    assert 'found ["n1", "n2"] 2.0 token' in log, log
    assert not Path(f"/tmp/ray-{run.job.id}").exists()
    left = [name for name in map(_command_line, Path("/proc").glob("[0-9]*")) if f"/tmp/ray-{run.job.id}/" in name]
    assert left == []


def _command_line(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def test_pipeline_stop_ends_a_submitted_run(cluster: Cluster, environments: None, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(RECIPE)
    directory = tmp_path / "runs" / "mine"
    try:
        call("submit", "mine.yaml", "--to", "slurm", folder=tmp_path)
        cluster.wait_for(lambda: any(directory.rglob("record.json")), "the first step of the run")
        out = call("stop", "mine", folder=tmp_path)
        assert ": interrupted" in out
        assert "resume with: pipeline submit mine.yaml --to slurm" in out
        assert cluster.jobs() == [] and not process.find_processes(directory)
    finally:
        process.end_orphans(directory)
