"""`launch` of a recipe, or of a site's file: how `pipeline submit` runs the recipe on a cluster."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from preprocess.config import Model
from preprocess.config.text_fields import is_url


def _like(pattern: str, expected: str) -> AfterValidator:
    """Return a validator of texts that match a pattern; `expected` describes it."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"found {text!r}, expected {expected}")
        return text

    return AfterValidator(check)


Word = Annotated[str, _like(r"[\w.,:@+=/][\w.,:@+=/-]{0,199}", "a name without spaces and quotes")]

Image = Annotated[str, _like(r"(?!\w+://)[^\s-]\S{0,499}", "an image without spaces, such as registry/name:tag")]

Resource = Annotated[
    str, _like(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", "lower case letters, digits and '-', as Kubernetes names its objects")
]

Quantity = Annotated[str, _like(r"[1-9]\d*([KMGT]i|[kMGT])?", "an amount of memory as Kubernetes writes it, such as 128Gi")]

Label = Annotated[str, _like(r"[\w./-]{1,253}", "a label without spaces")]

Line = Annotated[str, _like(r"[^\n\r\0]{1,2000}", "one line")]

Option = Annotated[str, _like(r"-[^\n\r\0]{1,500}", "an option, such as --qos=high")]

# Options of sbatch that `pipeline submit` sets -> the setting that decides on them; the last of two options counts.
_SET_ELSEWHERE = {
    "--job-name -J": "`name` of the recipe",
    "--partition -p": "`partition`",
    "--account -A": "`account`",
    "--time -t": "`time`",
    "--nodes -N": "`hardware.nodes`",
    "--gpus -G --gpus-per-node": "`hardware.gpus_per_node`",
    "--ntasks -n --ntasks-per-node": "the run: a task per node",
    "--cpus-per-task -c": "`cpus`",
    "--mem": "`memory`",
    "--array -a": "--seeds of `pipeline submit`",
    "--requeue --no-requeue --open-mode --signal --output -o --wrap --chdir -D --wait -W --parsable": "the run",
}


def _check_sbatch_option(text: str) -> str:
    name = re.split(r"[= ]", text, maxsplit=1)[0]
    for names, owner in _SET_ELSEWHERE.items():
        if name in names.split() or (name[:2] in names.split() and not name.startswith("--")):
            raise ValueError(f"{name} is set by {owner}")
    return text


SbatchOption = Annotated[Option, AfterValidator(_check_sbatch_option)]

Folder = Annotated[str, _like(r"(?!.*/\.\.(/|$))/[^\n\r\0:,]+", "an absolute path without : , and ..")]

Size = Annotated[str, _like(r"\d+(\.\d+)?([KMGT]i?B?)?", "an amount of memory, such as 256G")]

Time = Annotated[str, _like(r"(\d+-)?\d+(:[0-5]\d){0,2}", "minutes, 24:00:00 or 2-00:00:00")]


def _seconds(time: str) -> int:
    """Return Slurm's notation of a time in seconds: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M` or `D-H:M:S`."""
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    factors = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    return int(days or 0) * 86_400 + sum(part * factor for part, factor in zip(parts, factors, strict=False))


def _bytes(quantity: str) -> int:
    """Return an amount of memory as Kubernetes writes it in bytes."""
    number = quantity.rstrip("KMGTik")
    unit = quantity.removeprefix(number)
    power: int = (1024 if unit.endswith("i") else 1000) ** " KMGT".index(unit[:1].upper() or " ")
    return int(number) * power


class Container(Model):
    """The container in which the nodes of a Slurm job run everything."""

    image: Line
    """The image, as the runtime names it. It has this project, and its trainers in PIPELINE_VERL_PYTHON and
    PIPELINE_LLAMAFACTORY_PYTHON."""
    runtime: Literal["apptainer", "pyxis"] = "apptainer"
    """The command `apptainer`, or the options that the plugin pyxis adds to srun."""
    mounts: list[Folder] = Field(default=[])
    """Folders of the nodes, visible in the container under the same paths. The run directory and the recipe must be in them."""
    options: list[Option] = Field(default=[])
    """Further options of `apptainer exec`, or of srun."""


class SlurmSettings(Model):
    """A Slurm job. What is not set here has the cluster's default."""

    partition: Word | None = None
    """The partition."""
    account: Word | None = None
    """The account that is charged."""
    time: Time | None = None
    """The time limit as Slurm writes it: `30` minutes, `24:00:00`, `2-00:00:00`. Longer runs are requeued and resume."""
    cpus: int | None = Field(default=None, ge=1)
    """CPU cores of each node."""
    memory: Size | None = None
    """Memory of each node, such as `256G`; `0` is all of it."""
    options: list[SbatchOption] = Field(default=[])
    """Further options of sbatch, such as `--qos=high`, `--exclusive` or `--constraint=h100`."""
    container: Container | None = None
    """The container in which everything runs; default: none."""
    modules: list[Word] = Field(default=[])
    """Environment modules to load."""
    setup: list[Line] = Field(default=[])
    """Lines of bash before everything else, such as `export GLOO_SOCKET_IFNAME=ib0`."""
    stop_before: int = Field(default=300, ge=30, le=65535)
    """Seconds before the time limit at which the run is stopped and the job requeued."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.time is not None and self.stop_before >= (limit := _seconds(self.time)):
            raise ValueError(
                f"time {self.time} is {limit} seconds, and stop_before {self.stop_before}: nothing would be trained"
            )
        return self


class RaySettings(Model):
    """A Ray cluster that runs already."""

    address: Annotated[
        str, Field(min_length=1), is_url("the dashboard's, such as http://head:8265", "set RAY_AUTH_TOKEN instead")
    ]
    """The dashboard's address, such as `http://head:8265`."""
    setup: list[Line] = Field(default=[])
    """Lines of bash before everything else."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.address.rstrip("/").endswith(":6379"):
            raise ValueError("address has port 6379, which is Ray's own; the dashboard's is 8265")
        return self


class KubeRaySettings(Model):
    """A RayJob of KubeRay."""

    image: Image
    """The image of all pods: it has this project, and the trainers' environments."""
    claim: Resource
    """The persistent volume claim with the recipe, its data and the run directory; all nodes must be able to write to it."""
    mount: Folder
    """Where the claim is mounted: the same path as on the machine that submits."""
    namespace: Resource | None = None
    """The namespace; default: that of `kubectl apply`."""
    cpus: int = Field(default=16, ge=1)
    """CPU cores of each pod."""
    memory: Quantity = "128Gi"
    """Memory of each pod."""
    shared_memory: Quantity = "32Gi"
    """Size of /dev/shm, which NCCL, vLLM and Ray's object store use; it counts as memory of the pod."""
    node_selector: dict[Label, Label] = Field(default={})
    """Labels of the nodes on which the pods may run."""
    retries: int = Field(default=3, ge=0)
    """How often a failed job is started again; it resumes from the last checkpoint."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if _bytes(self.shared_memory) >= _bytes(self.memory):
            raise ValueError(
                f"shared_memory {self.shared_memory} counts as memory of the pod, which is {self.memory}: expected less"
            )
        return self


class Launch(Model):
    """Clusters on which the recipe can run."""

    slurm: SlurmSettings | None = None
    """Settings of `pipeline submit --to slurm`."""
    ray: RaySettings | None = None
    """Settings of `pipeline submit --to ray`."""
    kuberay: KubeRaySettings | None = None
    """Settings of `pipeline submit --to kuberay --dry-run`."""
