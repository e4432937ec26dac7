"""How many programs run at once."""

from __future__ import annotations

import os

import pytest

from rewards.sandbox import Settings, read_settings
from rewards.sandbox.settings import count_programs


@pytest.mark.parametrize(
    ("cores", "processes", "expected"),
    [(1, 1, 1), (2, 1, 3), (8, 1, 9), (8, 8, 1), (4, 8, 1), (16, 8, 3), (64, 8, 9), (8, 0, 9)],
)
def test_one_more_than_the_share_of_the_cores(
    cores: int, processes: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert count_programs(processes) == expected
    assert read_settings({"url": None, "workers": None}, processes) == Settings(workers=expected)
    assert read_settings({"isolation": "weak", "workers": 5}, processes) == Settings(isolation="weak", workers=5)


def test_a_service_is_not_limited_by_the_cores_here() -> None:
    url = "http://localhost:8080"
    assert read_settings({"url": url, "workers": None}, 8) == Settings(url=url)
    assert read_settings({"url": url, "workers": 4}, 8) == Settings(url=url, workers=4)
