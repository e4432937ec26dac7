"""Asking the trainer's own Python about rewards that need packages the orchestrator does not have."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pipelines.environments import Environment
from pipelines.errors import StepError
from pipelines.recipe.schema import Reward
from preprocess.config import Sandbox
from rewards.trial.offline import Row
from rewards.trial.stage import Checked, read_results

_SECONDS = 120.0
_CHECK_SECONDS = 1800.0

_ASK = """
import json, sys
from rewards.scoring.combination import read_entry
from rewards.errors import RewardError
try:
    ready = read_entry(json.loads(sys.argv[1])).reward.ready
    if ready is not None and sys.argv[2] == "here":
        ready()
except RewardError as error:
    problem = str(error)
else:
    problem = ""
print()
print(json.dumps(problem))
"""


def ask_for_reward(reward: Reward, sandbox: Sandbox, environment: Environment) -> str | None:
    """What the environment's Python finds wrong with a reward, in one line: empty for nothing; None when it is not built.

    Packages with which a SandboxFusion service scores are the service's own affair.
    """
    if not environment.is_ready():
        return None
    argv = [str(environment.python), "-c", _ASK, reward.model_dump_json(), "here" if sandbox.url is None else "there"]
    variables = {**os.environ, **environment.variables}
    try:
        answer = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=_SECONDS, env=variables)
    except subprocess.TimeoutExpired:
        return f"{reward.file or reward.name}: not imported after {_SECONDS:.0f} s"
    except OSError:
        return None  # said where the environments are looked at
    try:
        return str(json.loads(answer.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        said = answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"]
        return f"{reward.file or reward.name} does not import: {said[-1]}"


def check_there(
    rewards: Sequence[Reward], sources: Mapping[str, Sequence[Row]], sandbox: Sandbox, environment: Environment
) -> list[Checked]:
    """`rewards.trial.stage.check_stage` in the environment's Python, which is built.

    Raises:
        StepError: it did not answer, or the sandbox failed there.
    """
    request = {
        "rewards": [reward.model_dump() for reward in rewards],
        "sandbox": sandbox.model_dump(),
        "sources": {name: [asdict(row) for row in rows] for name, rows in sources.items()},
    }
    argv = [str(environment.python), "-m", "rewards.trial.stage"]
    variables = {**os.environ, **environment.variables}
    try:
        answer = subprocess.run(
            argv, input=json.dumps(request), check=False, capture_output=True, text=True, timeout=_CHECK_SECONDS, env=variables
        )
        said = json.loads(answer.stdout.splitlines()[-1])
    except (subprocess.TimeoutExpired, OSError) as error:
        raise StepError(f"{environment.python} did not check the rewards: {error}") from None
    except (IndexError, ValueError):
        last = (answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"])[-1]
        raise StepError(f"{environment.python} did not check the rewards: {last}") from None
    if "error" in said:
        raise StepError(f"{said['error']}; see `pipeline doctor`")
    return read_results(said["checked"])
