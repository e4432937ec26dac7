"""Asking the trainer's own Python about a reward that needs packages the orchestrator does not have."""

from __future__ import annotations

import json
import os
import subprocess

from pipelines.environments import Environment
from pipelines.recipe.schema import Reward

_SECONDS = 120.0

_ASK = """
import json, sys
from rewards.combination import read_entry
from rewards.errors import RewardError
try:
    read_entry(json.loads(sys.argv[1]))
except RewardError as error:
    problem = str(error)
else:
    problem = ""
print()
print(json.dumps(problem))
"""


def ask_for_reward(reward: Reward, environment: Environment) -> str | None:
    """What the environment's Python finds wrong with a reward, in one line: empty for nothing; None when it is not built."""
    if not environment.is_ready():
        return None
    argv = [str(environment.python), "-c", _ASK, reward.model_dump_json()]
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
