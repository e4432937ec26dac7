"""Submit a recipe to a cluster: check the cluster, write the run directories, submit, record the job."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.digests import write_atomically
from pipelines.errors import InputError
from pipelines.launch import kuberay
from pipelines.launch.job import FOLDER, RECIPE, TARGETS, Job, Target
from pipelines.launch.jobs import find_state
from pipelines.launch.ray import client as ray
from pipelines.launch.ray import script as ray_script
from pipelines.launch.settings import Settings
from pipelines.launch.slurm import commands as slurm
from pipelines.launch.slurm import script as slurm_script
from pipelines.recipe.launching import KubeRaySettings, RaySettings, SlurmSettings
from pipelines.records.holder import read_holder
from pipelines.records.submission import Submission, read_submission, write_submission

__all__ = ["TARGETS", "Submitted", "Target", "render", "submit"]


@dataclass(frozen=True)
class Submitted:
    """A run whose job was submitted."""

    directory: Path
    job: Submission


def render(job: Job, to: Target, settings: Settings) -> str:
    """Return the script or manifest with which a cluster runs the job.

    Raises:
        InputError: The settings of the cluster are missing.
    """
    launch = settings.launch
    if to == "slurm":
        return slurm_script.render(job, launch.slurm or SlurmSettings())
    if to == "ray":
        given = _require_ray(settings)
        return "\n".join(ray_script.render(job, name, given) for name in job.names)
    given_kuberay = _require_kuberay(settings)
    kuberay.check(job, settings)
    return kuberay.render(job, given_kuberay)


def submit(
    job: Job,
    to: Target,
    settings: Settings,
    recipes: Mapping[str, str],
    describe: Callable[[str], None],
    say: Callable[[str], None],
) -> list[Submitted]:
    """Submit the job, after the cluster was checked.

    Args:
        job: What runs.
        to: Where.
        settings: How.
        recipes: Name of each run -> its resolved recipe, which is frozen in its directory.
        describe: Called with the name of each run; writes what it consists of.
        say: Prints a line.

    Raises:
        InputError: The cluster could not run it; nothing was started.
        StepError: The cluster refused it.
    """
    if to == "kuberay":
        raise InputError("--to kuberay prints a manifest: use --dry-run, and give it to `kubectl apply -f -`")
    for name in job.names:
        _refuse_busy(job.directory(name))
    if to == "slurm":
        return _submit_to_slurm(job, settings, recipes, describe, say)
    return _submit_to_ray(job, settings, recipes, describe)


def _submit_to_slurm(
    job: Job, settings: Settings, recipes: Mapping[str, str], describe: Callable[[str], None], say: Callable[[str], None]
) -> list[Submitted]:
    given = settings.launch.slurm or SlurmSettings()
    slurm.check(job, settings)
    script = job.directory(job.names[0]) / slurm_script.FILE
    made = _Folders(job)
    try:
        _freeze(job, recipes)
        write_atomically(script, slurm_script.render(job, given))
        slurm.check_script(script)
        inside = job.paths if given.container is None else ()
        unknown = slurm.probe(job, settings, [job.directory(job.names[0]) / RECIPE, *inside])
    except InputError:
        made.remove()
        raise
    if unknown is not None:
        say(f"note: the nodes were not asked whether they see {job.runs} ({unknown}); the job looks when it starts")
    number = slurm.submit(script)
    return [
        _record(job, name, describe, Submission(to="slurm", id=id_, log=f"{FOLDER}/slurm-{id_}.log", **_origin(job)))
        for name, id_ in zip(job.names, [f"{number}_{seed}" for seed in job.seeds] or [number], strict=True)
    ]


def _submit_to_ray(
    job: Job, settings: Settings, recipes: Mapping[str, str], describe: Callable[[str], None]
) -> list[Submitted]:
    given = _require_ray(settings)
    client = ray.Client(given.address, job.verl)
    made = _Folders(job)
    try:
        _freeze(job, recipes)
        for name in job.names:
            write_atomically(job.directory(name) / ray_script.FILE, ray_script.render(job, name, given))
        frozen = [job.directory(name) / RECIPE for name in job.names]
        ray.check(client, settings.where("ray", "address"), job, [*frozen, *job.paths])
    except InputError:
        made.remove()
        raise
    return [
        _record(
            job,
            name,
            describe,
            Submission(to="ray", id=ray.submit(client, job, name), address=given.address, python=job.verl, **_origin(job)),
        )
        for name in job.names
    ]


class _Folders:
    """The folders that a submission makes; removed if it is refused."""

    def __init__(self, job: Job) -> None:
        self._new = [each for name in job.names for each in self._missing(job.directory(name) / FOLDER)]

    @staticmethod
    def _missing(folder: Path) -> list[Path]:
        missing = []
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        return missing

    def remove(self) -> None:
        """Remove the new folders, with the files that a submission writes; files of a run are kept."""
        for folder in sorted(set(self._new), key=lambda path: -len(path.parts)):
            if folder.name == FOLDER:
                for file in folder.glob("*"):
                    file.unlink()
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _freeze(job: Job, recipes: Mapping[str, str]) -> None:
    for name, text in recipes.items():
        write_atomically(job.directory(name) / RECIPE, text)


def _record(job: Job, name: str, describe: Callable[[str], None], submission: Submission) -> Submitted:
    write_submission(job.directory(name), submission)
    describe(name)
    return Submitted(job.directory(name), submission)


def _refuse_busy(directory: Path) -> None:
    """Refuse a run that runs, or whose job waits."""
    if holder := read_holder(directory):
        raise InputError(f"{directory} is in use by {holder}; `pipeline stop {directory.name}` ends it")
    submission = read_submission(directory)
    if submission is not None and (state := find_state(submission)[0]):
        raise InputError(f"{directory} was submitted before: {submission}, {state}; `pipeline stop {directory.name}` ends it")


def _origin(job: Job) -> dict[str, Any]:
    return {
        "submitted": time.time(),
        "host": socket.gethostname(),
        "command": list(job.submitted_by),
        "folder": str(Path.cwd()),
    }


def _require_ray(settings: Settings) -> RaySettings:
    if settings.launch.ray is None:
        raise InputError(f"{settings.where('ray')} is missing; expected `launch: {{ray: {{address: http://HEAD:8265}}}}`")
    return settings.launch.ray


def _require_kuberay(settings: Settings) -> KubeRaySettings:
    if settings.launch.kuberay is None:
        raise InputError(f"{settings.where('kuberay')} is missing; expected image, claim and mount in launch.kuberay")
    return settings.launch.kuberay
