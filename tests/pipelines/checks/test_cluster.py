"""`pipeline check` on a Ray cluster of two hosts, whose nodes are the same or differ."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.environments.ask import ask
from tests import ROOT
from tests.clusters import Cluster, Host, make_hosts

pytestmark = [pytest.mark.real, pytest.mark.nightly]

RECIPE = f"""\
name: two
model: {{make: qwen2}}
hardware: {{platform: cpu, nodes: 2}}
stages:
  - name: rl
    kind: rl
    algorithm: grpo
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py, limit: 5}}
      validation: {{fraction: 0.1}}
    reward: {{name: mine, file: mine.py}}
    steps: 4
    learning_rate: 1.0e-6
    batch: {{prompts: 4, mini: 4}}
    rollout: {{samples: 8, max_prompt_tokens: 256, max_response_tokens: 256}}
"""

REWARD = """
from rewards.registry import register


@register("mine")
def mine(data_source, solution_str, ground_truth, extra_info):
    return len(solution_str)
"""

# A package's metadata, and the library that compiles the sandbox's filters.
FILES = """
import ctypes, importlib.metadata, json
ctypes.CDLL("libseccomp.so.2")
library = next(line.split()[-1] for line in open("/proc/self/maps") if "libseccomp.so" in line)
print(json.dumps([str(importlib.metadata.distribution("sortedcontainers")._path / "METADATA"), library]))
"""


@dataclass
class Differing(Host):
    """A host with mounts of its own: its commands run after a shell script."""

    script: str = ""

    def command(self, *argv: str) -> list[str]:
        return super().command("unshare", "--mount", "sh", "-ec", f'{self.script}\nexec "$@"', "sh", *argv)


@contextmanager
def make_cluster(python: Path, script: str | None = None) -> Iterator[Cluster]:
    """Provide a cluster of two hosts, the second with a script."""
    with make_hosts() as hosts, tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        if script is not None:
            hosts[1] = Differing(**vars(hosts[1]), script=script)
        cluster = Cluster(hosts, python, Path(folder), {"RAY_AUTH_MODE": "disabled"}, {"gpus": 1, "cpus": 12})
        for host in hosts:
            cluster.start_node(host)
        yield cluster
        for host in hosts:
            host.kill()


@dataclass(frozen=True)
class Work:
    """A folder with a recipe for two nodes."""

    folder: Path

    def call(self, host: Host, command: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `pipeline` on a host; it leaves no file here."""
        argv = [str(Path(sys.executable).with_name("pipeline")), command, "two.yaml", *options]
        without = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "PIPELINE_"))}
        environ = without | {"RAY_AUTH_MODE": "disabled", "PYTHONDONTWRITEBYTECODE": "1"} | variables
        done = subprocess.run(host.command(*argv), cwd=self.folder, env=environ, capture_output=True, text=True)
        print(done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        assert sorted(file.name for file in self.folder.iterdir()) == ["mine.py", "two.yaml"]
        return done


@pytest.fixture
def work(tmp_path: Path) -> Work:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "two.yaml").write_text(RECIPE)
    (folder / "mine.py").write_text(REWARD)
    return Work(folder)


@pytest.fixture(scope="module")
def verl_python(trainer_python: Callable[[str], Path]) -> Path:
    """Return the Python of verl's environment, which has Ray."""
    return trainer_python("verl")


def test_equal_nodes_are_listed_and_may_be_too_few(verl_python: Path, work: Work) -> None:
    with make_cluster(verl_python) as cluster:
        done = work.call(cluster.hosts[0], "check", RAY_ADDRESS=cluster.address)
        assert done.returncode == 0, done.stderr
        rows = [line.split("\t") for line in done.stdout.splitlines() if "\tnode " in line]
        listed = [row for row in rows if "Ray has 12 cores and 1 GPU" in row[2]]
        assert [row[1] for row in listed] == ["node 10.77.0.1", "node 10.77.0.2"]
        assert "MB/s from this machine" in listed[1][2]

        for command in ("check", "run"):
            done = work.call(cluster.hosts[0], command, "--set", "hardware.nodes=4", RAY_ADDRESS=cluster.address)
            assert done.returncode == 2
            (line,) = done.stderr.splitlines()
            has = f"the Ray cluster at {cluster.address} has 2 nodes (GPUs: node-0 1, node-1 1)"
            assert line == f"error: two.yaml:3: hardware.nodes is 4: {has}"

        done = work.call(cluster.hosts[1], "check", RAY_ADDRESS="10.77.0.9:6379")
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "two.yaml:3: hardware.nodes is 2: RAY_ADDRESS 10.77.0.9:6379 does not answer: " in line


def test_a_node_that_differs_gets_a_line_per_difference(verl_python: Path, work: Work, tmp_path: Path) -> None:
    metadata, library = ask(verl_python, ["-c", FILES])
    others = tmp_path / "others"
    others.mkdir()
    (others / "METADATA").write_text("Metadata-Version: 2.1\nName: sortedcontainers\nVersion: 9.9\n")
    (others / "errors.py").write_text((ROOT / "rewards" / "errors.py").read_text() + "\n# changed\n")
    mounts = [(others / "METADATA", metadata), (others / "errors.py", ROOT / "rewards" / "errors.py"), ("/dev/null", library)]
    script = "\n".join(f"mount --bind '{source}' '{target}'" for source, target in mounts)
    with make_cluster(verl_python, f"{script}\nmount -t tmpfs none '{work.folder}'\ncd /") as cluster:
        done = work.call(cluster.hosts[0], "check", RAY_ADDRESS=cluster.address)
        assert done.returncode == 2
        lines = [line.partition("node 10.77.0.2: ")[2] for line in done.stderr.splitlines()]
        assert lines[0].startswith("its packages differ from those here: sortedcontainers 9.9 instead of ")
        assert lines[1:4] == [
            "its code of this project differs from that here",
            f"the run directory is not shared: a file that this machine wrote into {work.folder} is missing there",
            f"{work.folder}/mine.py is missing there",
        ]
        assert lines[4].startswith("programs cannot be run safely there: ")
        assert len(lines) == 5
