"""What ended a trainer, from its status and the end of its log: texts as the libraries write them."""

from __future__ import annotations

import pytest

from pipelines.run.faults.diagnosis import diagnose, same_message

LINES = {
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total of 79.10 GiB": "gpu memory",
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`": "gpu memory",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory": "host memory",
    "1 worker(s) were killed due to the node running low on memory.": "host memory",
    "OSError: [Errno 28] No space left on device: '/runs/x'": "disk",
    "safetensors_rust.SafetensorError: Error while serializing: I/O error: No space left on device (os error 28)": "disk",
    "RuntimeError: [enforce fail at inline_container.cc:858] . PytorchStreamWriter failed writing file data/3": "disk",
    "RuntimeError: probability tensor contains either `inf`, `nan` or element < 0": "not a number",
    "torch.distributed.DistNetworkError: The server socket has failed to listen on any address. port: 29500": "port",
    "OSError: [Errno 98] Address already in use": "port",
    "The actor died because its node has died. Node Id: 3f2b": "node",
    "ray.exceptions.NodeDiedError: Task failed due to the node dying.": "node",
    "ray.exceptions.ActorUnavailableError: The actor 8c8b is unavailable: RpcError: RPC error: Socket closed": "node",
    "The node with node id: 3f2b and address: 10.0.0.2 has been marked dead because the detector has missed too many": "node",
    "ray.exceptions.LocalRayletDiedError: The task's local raylet died": "node",
    "Failed to connect to GCS within 60 seconds": "node",
    "Exception: The current node timed out during startup": "node",
    "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.": "killed",
    "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.": "killed",
    "  traceback : Signal 9 (SIGKILL) received by PID 4711": "killed",
    "  traceback : Signal 11 (SIGSEGV) received by PID 4711": "crash",
    "RuntimeError: CUDA error: an illegal memory access was encountered": "crash",
    "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3690, remote process exited": "communication",
    "[rank1]:[E] [Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=5, OpType=ALLREDUCE)": "communication",
    "KeyError: 'input_ids'": "error",
}


@pytest.mark.parametrize(("line", "kind"), LINES.items())
def test_kind(line: str, kind: str) -> None:
    found = diagnose(1, "ended with status 1: its last error", ["some line", line, "another line"])
    assert found.kind == kind
    assert "\n" not in found.reason
    assert (line.strip()[-40:] in found.reason) == (kind != "error")


def test_the_cause_comes_before_its_consequences() -> None:
    lines = [
        "(WorkerDict pid=7) torch.OutOfMemoryError: CUDA out of memory.",
        "DistBackendError: NCCL error",
        "ActorDiedError: The",
    ]
    assert diagnose(1, "ended", lines).reason == "a GPU ran out of memory: torch.OutOfMemoryError: CUDA out of memory."


@pytest.mark.parametrize(("status", "kind"), [(-9, "killed"), (-15, "killed"), (-11, "crash"), (-6, "crash"), (1, "error")])
def test_signals(status: int, kind: str) -> None:
    assert diagnose(status, "ended", []).kind == kind


def test_the_actor_is_named() -> None:
    died = "(raylet) A worker died or was killed while executing a task by an unexpected system error. To troubleshoot the"
    lines = [
        f"{died} problem, check the logs. Worker exit detail: Worker unexpectedly exits with a connection error code 2.",
        "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.",
        "\tclass_name: create_colocated_worker_cls.<locals>.WorkerDict",
    ]
    meaning = "one of its processes was killed (WorkerDict)"
    assert diagnose(1, "ended", lines[1:]).reason == f"{meaning}: {lines[1]}"
    worker = "A worker died or was killed while executing a task by an unexpected system error"
    assert diagnose(1, "ended", lines[:1]).reason == f"one of its processes was killed: {worker}"


def test_a_signal_comes_before_what_its_workers_print() -> None:
    lines = ["RuntimeError: [gloo/transport/tcp/pair.cc:525] Connection closed by peer"]
    assert diagnose(-9, "was killed by signal 9", lines).reason == "was killed by signal 9"
    assert diagnose(1, "ended", lines).kind == "communication"
    assert diagnose(-6, "was killed by signal 6", ["CUDA out of memory"]).kind == "gpu memory"


def test_the_kernel_kills_for_memory() -> None:
    found = diagnose(-9, "was killed by signal 9", [], oom_kills=1)
    assert found.kind == "host memory" and found.reason.startswith("the machine ran out of memory, and the kernel killed")
    assert diagnose(1, "ended with status 1", ["The actor died unexpectedly"], oom_kills=2).kind == "host memory"
    assert diagnose(-11, "was killed by signal 11", [], oom_kills=1).kind == "crash"


def test_a_full_disk_cannot_be_logged() -> None:
    assert diagnose(1, "ended with status 1", [], is_full=True).kind == "disk"


def test_what_this_project_refuses_is_no_fault() -> None:
    lines = [
        "rewards.errors.RewardError: reward mine failed on 32 of 32 responses",
        "ActorDiedError: The actor died unexpectedly",
    ]
    assert diagnose(1, "ended with status 1: reward mine failed", lines).kind == "refused"


def test_an_early_warning_is_not_the_cause() -> None:
    lines = ["WARNING: [Errno 28] No space left on device while writing a cache"] + ["step"] * 700 + ["KeyError: 'x'"]
    assert diagnose(1, "ended with status 1: KeyError: 'x'", lines).kind == "error"


def test_numbers_and_addresses_do_not_count() -> None:
    assert same_message("KeyError at 0x7f12 in pid 12, 1.5 GiB", "KeyError at 0x7a99 in pid 8, 2.25 GiB")
    assert not same_message("KeyError: 'a'", "KeyError: 'b'")
