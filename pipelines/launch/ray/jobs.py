"""Answer questions about the jobs of a Ray cluster; runs in verl's environment.

`python -m pipelines.launch.ray.jobs REQUEST` prints one JSON value; `follow` prints the job's log instead. Ray's own client is
used: it finds the token of a cluster with authentication.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from ray.job_submission import JobSubmissionClient

_STOP_SECONDS = 60
"""How long Ray waits between SIGTERM and SIGKILL: a run ends in ten seconds. Ray's default is three."""

_START_SECONDS = 60.0


def submit(client: JobSubmissionClient, request: dict[str, Any]) -> str:
    """Submit a job and return its id."""
    variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_SECONDS)}
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            return str(
                client.submit_job(
                    entrypoint=request["entrypoint"],
                    runtime_env={"env_vars": variables},
                    metadata=request.get("metadata", {}),
                    entrypoint_num_gpus=request.get("gpus") or None,
                )
            )
        except RuntimeError as error:
            # The dashboard of a new cluster answers before the agent that starts jobs.
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(1)


def find_state(client: JobSubmissionClient, request: dict[str, Any]) -> dict[str, str]:
    """Return the state of a job, its message and its node."""
    details = client.get_job_info(request["id"])
    return {"state": str(details.status.value).lower(), "message": details.message or ""}


def read_log(client: JobSubmissionClient, request: dict[str, Any]) -> str:
    """Return what a job has printed."""
    return str(client.get_job_logs(request["id"]))


def stop(client: JobSubmissionClient, request: dict[str, Any]) -> bool:
    """Stop a job in order; return whether it ran."""
    return bool(client.stop_job(request["id"]))


async def _follow(client: JobSubmissionClient, request: dict[str, Any], out: Any) -> None:
    async for lines in client.tail_job_logs(request["id"]):
        out.write(lines)
        out.flush()


def main() -> None:
    """Answer a request: `{"do", "address", …}`."""
    request = json.loads(sys.argv[1])
    os.environ.pop("RAY_ADDRESS", None)  # it would replace the address
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # what Ray prints is no answer
        try:
            client = JobSubmissionClient(request["address"])
            if request["do"] == "follow":
                asyncio.run(_follow(client, request, out))
                return
            answers = {"submit": submit, "state": find_state, "log": read_log, "stop": stop}
            answer = answers[request["do"]](client, request)
        except (ConnectionError, RuntimeError, OSError) as error:
            sys.exit(" ".join(str(error).split()) or type(error).__name__)
        print(json.dumps(answer), file=out)


if __name__ == "__main__":
    main()
