"""The environments of a run: missing ones are built while it goes, and each step waits for those that it uses."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from pipelines.checks.preflight import find_cluster_problems, find_late_problems, needs_environment
from pipelines.environments import Environment
from pipelines.environments.builds import Builds
from pipelines.errors import InputError
from pipelines.recipe.loading import Loaded
from pipelines.run.display import Display
from pipelines.run.plan import Step


def check_given(environments: Mapping[str, Environment]) -> None:
    """Check the existing Pythons that the user chose; print a note on one with another version of its trainer."""
    for each in environments.values():
        if not each.pinned and (version := each.check()) != each.pin.version:
            print(
                f"note: {each.python} has {each.pin.name} {version}; this project supports {each.pin.version}", file=sys.stderr
            )


def start_builds(environments: Mapping[str, Environment], steps: Sequence[Step], display: Display) -> Builds:
    """Return the builds of the pinned environments that are missing or out of date.

    The one that the steps use first gets the processor first; the others use what it and the steps leave.
    """
    order = list(dict.fromkeys(name for step in steps for name in step.uses))
    pinned = [each for each in environments.values() if each.pinned]
    return Builds(pinned, later=set(environments) - set(order[:1]), beside=display)


class Gate:
    """Lets a step start when the environments that it uses are built.

    Args:
        loaded: The recipe.
        environments: Trainer -> its environment.
        builds: Those that are being built.
        display: Where to report that a step waits.
        names: The stages that run; default: all.
    """

    def __init__(
        self,
        loaded: Loaded,
        environments: dict[str, Environment],
        builds: Builds,
        display: Display,
        names: Sequence[str] | None = None,
    ) -> None:
        self._loaded, self._names, self._environments = loaded, names, environments
        self._builds, self._display = builds, display
        # With the environment built before, `find_problems` has checked rewards and entry points.
        self._checks_late = "verl" in builds and needs_environment(loaded, names)
        self._checks_cluster = "verl" in builds and loaded.recipe.uses_cluster

    def wait(self, step: Step) -> None:
        """Wait for the environments of a step.

        Raises:
            StepError: A build failed, even of an environment that only later steps use: the run cannot end well.
            InputError: A reward does not load in verl's environment, or the cluster lacks nodes.
        """
        used = set(step.uses)
        if (self._checks_late or self._checks_cluster) and step.trains:
            # No stage may be trained while a reward, an entry point or the cluster is unchecked, whatever trains it: a mistake
            # would cost the time of all stages before. Rows and a tiny model cost seconds, so they need not wait.
            used.add("verl")
        if running := self._builds.running(used):
            self._display.waiting(step, running)
        self._builds.wait(used)
        if self._checks_late and not self._builds.running(["verl"]):
            self._checks_late = False
            if unfit := find_late_problems(self._loaded, self._environments, self._names):
                raise InputError("\n".join(unfit))
        if self._checks_cluster and not self._builds.running(["verl"]):
            self._checks_cluster = False
            if unfit := find_cluster_problems(self._loaded, self._environments, self._names):
                raise InputError("\n".join(unfit))
