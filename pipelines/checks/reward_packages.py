"""Check rewards in the trainer's Python when they need packages that the orchestrator does not have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pipelines.environments import Environment
from pipelines.environments.ask import AskError, ask
from pipelines.errors import StepError
from pipelines.recipe.schema import Reward
from preprocess.config import Sandbox
from rewards.trial.offline import Row
from rewards.trial.stage import Checked, read_results

_LOAD_SECONDS = 120.0
_CHECK_SECONDS = 1800.0

_LOAD = """
import json, sys
from rewards.scoring.combination import read_entry
from rewards.errors import RewardError
try:
    ready = read_entry(json.loads(sys.argv[1])).reward.ready
    if ready is not None and sys.argv[2] == "local":
        ready()
except RewardError as error:
    problem = str(error)
else:
    problem = ""
print()
print(json.dumps(problem))
"""


def ask_for_problem(reward: Reward, sandbox: Sandbox, environment: Environment) -> str | None:
    """Load a reward in the environment and return its problem in one line.

    Packages that a SandboxFusion service scores with are not checked.

    Returns:
        An empty text for no problem; None if the environment is not built.
    """
    if not environment.is_ready():
        return None
    arguments = ["-c", _LOAD, reward.model_dump_json(), "local" if sandbox.url is None else "service"]
    try:
        return str(ask(environment.python, arguments, variables=environment.variables, timeout=_LOAD_SECONDS))
    except AskError as error:
        return f"{reward.file or reward.name} does not import: {error}"


def check_in_environment(
    rewards: Sequence[Reward], sources: Mapping[str, Sequence[Row]], sandbox: Sandbox, environment: Environment
) -> list[Checked]:
    """Call `rewards.trial.stage.check_stage` in an environment that is built.

    Raises:
        StepError: It did not answer, or its sandbox failed.
    """
    request = {
        "rewards": [reward.model_dump() for reward in rewards],
        "sandbox": sandbox.model_dump(),
        "sources": {name: [asdict(row) for row in rows] for name, rows in sources.items()},
    }
    arguments, stdin = ["-m", "rewards.trial.stage"], json.dumps(request)
    try:
        answer = ask(environment.python, arguments, variables=environment.variables, stdin=stdin, timeout=_CHECK_SECONDS)
    except AskError as error:
        raise StepError(f"{environment.python} did not check the rewards: {error}") from None
    if "error" in answer:
        raise StepError(f"{answer['error']}; see `pipeline doctor`")
    return read_results(answer["checked"])
