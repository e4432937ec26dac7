"""Render the sbatch script of a job."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.launch.job import FOLDER, RECIPE, Job
from pipelines.recipe.launching import Container, SlurmSettings

FILE = f"{FOLDER}/slurm.sh"
"""The script in a run directory; of several seeds, in that of the first."""

TASK = "$SLURM_ARRAY_TASK_ID"

_CHECK = (
    'for path; do [ -e "$path" ] || { echo "error: ${SLURMD_NODENAME:-$(hostname)} has no $path;'
    ' it must be on a file system that all nodes share" >&2; exit 1; }; done'
)

_WAIT_FOR_HEAD = (
    'for try in {1..60}; do (exec 3<>"/dev/tcp/${RAY_ADDRESS%:*}/${RAY_ADDRESS##*:}") 2>/dev/null && break; sleep 1; done'
)

_START = "-m ray.scripts.scripts start"


def render(job: Job, settings: SlurmSettings) -> str:
    """Return the sbatch script.

    Args:
        job: What runs.
        settings: How the cluster runs it.
    """
    from jinja2 import Environment, StrictUndefined

    container = settings.container
    runs = shlex.quote(str(job.runs))
    verl = '"$PIPELINE_VERL_PYTHON"' if container else f"{_python_path(job)}{shlex.quote(job.verl)}"
    resources = _ray_resources(job)
    head = f'{_START} --head --node-ip-address="${{RAY_ADDRESS%:*}}" --port="${{RAY_ADDRESS##*:}}" --temp-dir="$RAY_FOLDER"'
    worker = f'{_START} --address="$RAY_ADDRESS"'
    environment = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined)
    return environment.from_string(Path(__file__).with_name("script.sbatch.j2").read_text(encoding="utf-8")).render(
        title=_title(job),
        options=list(_options(job, settings)),
        run_directory=f"{runs}/{job.seeded(TASK)}" if job.seeds else shlex.quote(str(job.directory(job.name))),
        modules=[f"module load {shlex.quote(name)}" for name in settings.modules],
        setup=[*([f"export SRUN_CPUS_PER_TASK={settings.cpus}"] if settings.cpus else []), *settings.setup],
        folder=FOLDER,
        recipe=RECIPE,
        nodes=job.nodes,
        check=shlex.quote(_CHECK),
        paths=shlex.join(map(str, job.paths)),
        srun=_words(_srun_options(container)),
        inside=_words(_inside(container)),
        container=_words([*_own_step(container), *_inside(container)]),
        start_head=shlex.quote(f"exec env {verl} {head} {resources} --include-dashboard=false --block"),
        start_worker=shlex.quote(f"{_WAIT_FOR_HEAD}; exec env {verl} {worker} {resources} --block"),
        wait=shlex.quote(f"exec env {verl} -m pipelines.launch.ray.nodes {job.nodes}"),
        pipeline="pipeline" if container else shlex.quote(job.pipeline),
        runs=runs,
    )


def _title(job: Job) -> str:
    seeds = f", once with each of the seeds {', '.join(map(str, job.seeds))}" if job.seeds else ""
    return f"Run {job.name} on {job.nodes} node{'s' if job.nodes > 1 else ''}{seeds}"


def _options(job: Job, settings: SlurmSettings) -> Iterator[str]:
    """Yield the options of sbatch."""
    yield f"--job-name={job.name}"
    for name, value in (("partition", settings.partition), ("account", settings.account), ("time", settings.time)):
        if value is not None:
            yield f"--{name}={value}"
    yield f"--nodes={job.nodes}"
    yield "--ntasks-per-node=1"
    if job.gpus:
        yield f"--gpus-per-node={job.gpus}"
    if settings.cpus is not None:
        yield f"--cpus-per-task={settings.cpus}"
    if settings.memory is not None:
        yield f"--mem={settings.memory.replace('iB', '').replace('i', '').removesuffix('B')}"
    if job.seeds:
        yield f"--array={','.join(map(str, job.seeds))}"
    yield "--requeue"
    yield "--open-mode=append"
    yield f"--signal=B:USR1@{settings.stop_before}"
    # Slurm replaces %j, and reads %% as %.
    parent = str(job.runs).replace("%", "%%")
    name, number = (job.seeded("%a"), "%A_%a") if job.seeds else (job.name, "%j")
    yield f"--output={_quote_option(f'{parent}/{name}/{FOLDER}/slurm-{number}.log')}"
    yield from map(_quote_option, settings.options)


def _quote_option(text: str) -> str:
    """Return a word of an #SBATCH line, in which a space ends a word and # begins a comment."""
    return shlex.quote(text) if set(text) & set(" \t\"'\\#") else text


def _ray_resources(job: Job) -> str:
    """Return the options of `ray start` for the node's resources."""
    if not job.gpus:
        # Permits, not cores: verl's workers request three each, its helpers one.
        return f"--num-cpus={12 + 4 * job.workers} --num-gpus={job.workers} --object-store-memory=200000000"
    return f'--num-cpus="$SLURM_CPUS_ON_NODE" --num-gpus={job.gpus}'


def _python_path(job: Job) -> str:
    return f"PYTHONPATH={shlex.quote(job.import_path)} " if job.import_path else ""


def _inside(container: Container | None) -> list[str]:
    """Return the words before a command that runs it in the container."""
    if container is None or container.runtime == "pyxis":
        return []
    mounts = [f"--bind={','.join(container.mounts)}"] if container.mounts else []
    return ["apptainer", "exec", *mounts, *container.options, container.image]


def _srun_options(container: Container | None) -> list[str]:
    """Return the options of srun that run a command in the container."""
    if container is None or container.runtime != "pyxis":
        return []
    mounts = [f"--container-mounts={','.join(f'{each}:{each}' for each in container.mounts)}"] if container.mounts else []
    return [f"--container-image={container.image}", *mounts, *container.options]


def _own_step(container: Container | None) -> list[str]:
    """Return the words that run a command on the first node, where the script runs."""
    options = _srun_options(container)
    return ["srun", "--overlap", "--nodes=1", "--ntasks=1", "--relative=0", *options] if options else []


def _words(words: Sequence[str]) -> str:
    """Return words of a command line, followed by a space; an empty text for none."""
    return f"{shlex.join(words)} " if words else ""
