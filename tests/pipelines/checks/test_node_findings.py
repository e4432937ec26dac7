"""What is said about the answers of a cluster's nodes; the faults that two hosts on one machine cannot have."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.checks.cluster import describe_node, find_differences

HERE = {
    "python": "3.11.9",
    "executable": "/envs/verl/bin/python",
    "packages": {"torch": "2.11.0", "verl": "0.9.1", "vllm": "0.24.0"},
    "project": "abc",
    "shared": "",
    "missing": [],
    "gpus": ["NVIDIA H100, 81559 MiB, 580.65"] * 2,
    "libseccomp": True,
    "sandbox": "",
    "full": [],
}


def node(**changes: Any) -> dict[str, Any]:
    """Return the answer of a node; fields of its probe are changed, or those of the node itself."""
    found = {
        "name": "10.0.0.2",
        "host": "two",
        "cores": 64,
        "gpus": 2,
        "clock": [0.0, 0.1],
        "bandwidth": 2e9,
        "answer": dict(HERE),
    }
    for key, value in changes.items():
        (found if key in found else found["answer"])[key] = value  # type: ignore[index]
    return found


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, []),
        ({"packages": {**HERE["packages"], "mlflow": "3"}}, []),  # type: ignore[dict-item]
        (
            {"packages": {"torch": "2.13.0", "verl": "0.9.1"}},
            ["its packages differ from those here: torch 2.13.0 instead of 2.11.0 and 1 more (/envs/verl/bin/python)"],
        ),
        ({"python": "3.12.1"}, ["its Python is 3.12.1, /envs/verl/bin/python; here it is 3.11.9, /envs/verl/bin/python"]),
        ({"project": ""}, ["/envs/verl/bin/python cannot import this project"]),
        (
            {"shared": "it cannot be written there: Read-only"},
            ["the run directory is not shared: it cannot be written there: Read-only"],
        ),
        ({"project": "", "sandbox": "No module named rewards"}, ["/envs/verl/bin/python cannot import this project"]),
    ],
)
def test_each_difference_is_a_line(changes: dict[str, Any], lines: list[str]) -> None:
    assert [*find_differences(node(**changes), HERE)] == [f"node 10.0.0.2: {line}" for line in lines]


def test_a_node_that_does_not_answer_is_a_line() -> None:
    silent = {"name": "10.0.0.2", "problem": "no answer after 150 s", "gpus": 2, "cores": 4}
    assert [*find_differences(silent, HERE)] == ["node 10.0.0.2: no answer after 150 s"]
    assert [*describe_node(silent, HERE, 0)] == [("node 10.0.0.2", "no answer after 150 s", "wrong")]


def test_a_good_node_is_one_row() -> None:
    ((what, result, verdict),) = describe_node(node(), HERE, 34)
    assert (what, verdict) == ("node 10.0.0.2", "ok")
    assert result == (
        "two; Python 3.11.9; 2 x NVIDIA H100, 81559 MiB, 580.65; Ray has 64 cores and 2 GPUs; 2,000 MB/s from this machine"
    )


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"cores": 8}, "Ray has 8 cores there, verl asks for 34: start it with --num-cpus=34"),
        ({"clock": [-7.5, 0.1]}, "its clock is 7.5 s behind this machine's"),
        ({"clock": [7.5, 0.1]}, "its clock is 7.5 s ahead of this machine's"),
        ({"libseccomp": False}, "libseccomp.so.2 was not found (Debian: apt install libseccomp2)"),
        ({"full": ["/dev/shm: 0.1 of 64 GB free"]}, "/dev/shm: 0.1 of 64 GB free"),
        ({"gpus": 0, "cores": 8}, None),  # only the head's services run there
        # What the network's delay explains is no difference.
        ({"clock": [7.5, 6.0]}, None),
        ({"clock": None}, None),
    ],
)
def test_what_may_matter_is_a_note(changes: dict[str, Any], note: str | None) -> None:
    notes = [result for _, result, verdict in describe_node(node(**changes), HERE, 34) if verdict == "note"]
    assert notes == ([] if note is None else [note])


def test_another_driver_is_a_note() -> None:
    there = node()
    there["answer"]["gpus"] = ["NVIDIA H100, 81559 MiB, 550.10"] * 2
    note = ("node 10.0.0.2", "its GPUs differ from those here, 2 x NVIDIA H100, 81559 MiB, 580.65", "note")
    assert note in [*describe_node(there, HERE, 0)]
