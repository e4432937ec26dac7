"""Leave no process of a run on the nodes of its cluster."""

from __future__ import annotations

from pipelines.errors import StepError
from pipelines.run.plan import Plan, Step


def clear_nodes(plan: Plan, step: Step) -> None:
    """End the processes of the run on the nodes of its cluster, and remove its temporary files there; the log names them.

    Raises:
        StepError: The cluster cannot be asked.
    """
    from pipelines.environments.ask import AskError
    from pipelines.run.cluster.nodes import end_orphans_on_nodes

    try:
        ended = end_orphans_on_nodes(plan.machine.pythons["verl"], plan.directory)
    except AskError as error:
        raise StepError(f"{step.name}: the nodes of the cluster cannot be cleared of its processes: {error}") from None
    with (step.directory / "log").open("a", encoding="utf-8") as sink:
        for node, names in sorted(ended.items()):
            sink.write(f"--- ended orphaned processes on {node}: {', '.join(names)}\n")
