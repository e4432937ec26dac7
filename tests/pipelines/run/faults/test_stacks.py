"""Where a training hangs, from the stacks of its processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines.run.faults.stacks import find_py_spy, summarise, write_stacks
from tests import ROOT

IDLE = """Process 7: ray::IDLE
Thread 7 (idle): "MainThread"
    wait (threading.py:327)
    get (ray/_private/worker.py:2981)
    fit (verl/trainer/ppo/v1/trainer_base.py:512)
    <module> (verl/trainer/main_ppo.py:80)
"""
SYNC = """Process 8: ray::WorkerDict
Thread 8 (idle): "MainThread"
    recv (zmq/sugar/socket.py:700)
    async_send_weights (verl/workers/rollout/vllm_rollout/bucketed_weight_transfer.py:134)
    update_weights (verl/workers/engine_workers.py:310)
"""
GENERATE = """Process 2404: ray::TaskRunnerV1.run
Thread 2404 (idle): "MainThread"
    ReplayBuffer._wait_for_next_poll (verl/trainer/ppo/v1/replay_buffer.py:409)
    ReplayBuffer.sample (verl/trainer/ppo/v1/replay_buffer.py:503)
    PPOTrainer.step (verl/trainer/ppo/v1/trainer_base.py:552)
"""
REDUCE = """Process 9: ray::WorkerDict
Thread 9 (active): "MainThread"
    all_reduce (torch/distributed/distributed_c10d.py:2900)
"""


@pytest.mark.parametrize(
    ("dumps", "place"),
    [
        ([IDLE, SYNC], "in weight sync (async_send_weights, bucketed_weight_transfer.py:134)"),
        ([IDLE, REDUCE], "in a collective operation (all_reduce, distributed_c10d.py:2900)"),
        ([IDLE, GENERATE], "in generation (ReplayBuffer._wait_for_next_poll, replay_buffer.py:409)"),
        ([IDLE], "in fit, trainer_base.py:512"),
        (["py-spy: Permission denied"], ""),
        ([], ""),
    ],
)
def test_place(dumps: list[str], place: str) -> None:
    assert summarise(dumps) == place


def test_stacks_of_real_processes(tmp_path: Path) -> None:
    py_spy = find_py_spy([ROOT / "third_party/verl/environments/cpu/bin"])
    if py_spy is None:
        pytest.skip("py-spy is not installed")
    code = "import time\ndef update_weights(): time.sleep(600)\nupdate_weights()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    with subprocess.Popen([sys.executable, "-c", parent]) as top:
        deadline = time.monotonic() + 120
        place = ""
        while not place.startswith("in weight sync"):
            assert time.monotonic() < deadline, place
            place = write_stacks(py_spy, top.pid, tmp_path / "stacks.txt") if psutil.Process(top.pid).children() else ""
        for child in psutil.Process(top.pid).children():
            child.kill()
    assert place == "in weight sync (update_weights, <string>:2)"
    assert ", state " in (tmp_path / "stacks.txt").read_text()
