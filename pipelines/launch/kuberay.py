"""Render the RayJob manifests of a job for KubeRay (`ray.io/v1`)."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.launch.job import Job
from pipelines.launch.settings import Settings
from pipelines.recipe.launching import KubeRaySettings

_LONGEST_NAME = 47
"""KubeRay adds to the name of a job in the names of its pods, which have at most 63 characters."""

_STOP_SECONDS = 60


def check(job: Job, settings: Settings) -> None:
    """Check whether the pods would see the recipe and the run directory.

    Raises:
        InputError: They would not.
    """
    given = settings.launch.kuberay
    assert given is not None
    mount = Path(given.mount)
    recipe = Path(job.recipe[0])
    for what, path in (("the recipe", recipe), ("the run directory", job.runs)):
        if path.is_absolute() and not path.is_relative_to(mount):
            where = settings.where("kuberay", "mount")
            raise InputError(f"{where}: {what}, {path}, is not in {mount}, and the pods would not see it")


def render(job: Job, settings: KubeRaySettings) -> str:
    """Return the manifests, one per run."""
    import yaml

    return "---\n".join(yaml.safe_dump(_manifest(job, name, settings), sort_keys=False, width=120) for name in job.names)


def _manifest(job: Job, name: str, settings: KubeRaySettings) -> dict[str, Any]:
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST_NAME].rstrip("-")
    workers = {
        "groupName": "workers",
        "replicas": job.nodes - 1,
        "minReplicas": job.nodes - 1,
        "maxReplicas": job.nodes - 1,
        "rayStartParams": _start_options(job),
        "template": _pod(job, settings, "ray-worker"),
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": label, **({"namespace": settings.namespace} if settings.namespace else {})},
        "spec": {
            "entrypoint": shlex.join(_command(job, name)),
            # On one node, verl starts a Ray of its own: the cluster must keep those GPUs free for it.
            **({"entrypointNumGpus": job.gpus} if job.nodes == 1 and job.gpus else {}),
            "runtimeEnvYAML": f'env_vars:\n  RAY_JOB_STOP_WAIT_TIME_S: "{_STOP_SECONDS}"\n',
            "submissionMode": "K8sJobMode",
            "backoffLimit": settings.retries,
            "shutdownAfterJobFinishes": True,
            "rayClusterSpec": {
                "headGroupSpec": {
                    "rayStartParams": {"dashboard-host": "0.0.0.0", **_start_options(job)},
                    "template": _pod(job, settings, "ray-head"),
                },
                **({"workerGroupSpecs": [workers]} if job.nodes > 1 else {}),
            },
        },
    }


def _command(job: Job, name: str) -> list[str]:
    seed = name.removeprefix(job.seeded("")) if job.seeds else None
    seeded = [] if seed is None else ["--set", f"seed={seed}", "--set", f"name={name}"]
    return ["pipeline", "run", *job.recipe, *seeded, "--runs", str(job.runs)]


def _start_options(job: Job) -> dict[str, str]:
    """Return the options of `ray start`; KubeRay takes GPUs and cores from the limits of a pod."""
    return {} if job.gpus else {"num-cpus": str(12 + 4 * job.workers), "num-gpus": str(job.workers)}


def _pod(job: Job, settings: KubeRaySettings, container: str) -> dict[str, Any]:
    resources = {"cpu": settings.cpus, "memory": settings.memory, **({"nvidia.com/gpu": job.gpus} if job.gpus else {})}
    return {
        "spec": {
            **({"nodeSelector": dict(settings.node_selector)} if settings.node_selector else {}),
            "containers": [
                {
                    "name": container,
                    "image": settings.image,
                    "resources": {"limits": resources, "requests": dict(resources)},
                    "volumeMounts": [
                        {"name": "shared", "mountPath": settings.mount},
                        {"name": "memory", "mountPath": "/dev/shm"},
                    ],
                }
            ],
            "volumes": [
                {"name": "shared", "persistentVolumeClaim": {"claimName": settings.claim}},
                {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": settings.shared_memory}},
            ],
        }
    }
