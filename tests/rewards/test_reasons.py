"""Reasons are collected on request and cost nothing otherwise."""

import asyncio
import threading
from typing import Any

import pytest

from rewards.reasons import collect_reasons, explain, show


def test_reasons_go_to_the_innermost_collector() -> None:
    explain("not collected: {}", 1)
    with collect_reasons() as outer:
        explain("{} of {}", 1, "two")
        with collect_reasons() as inner:
            explain("inside")
        explain("again")
    assert (outer, inner) == (["1 of two", "again"], ["inside"])


def test_values_are_not_formatted_without_a_collector() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise AssertionError("formatted")

    explain("{}", Unprintable())


def test_reasons_are_short_printable_lines() -> None:
    with collect_reasons() as reasons:
        explain("{}", "a\nb\x1b[2J\ud800" + "c" * 1000)
    assert reasons[0].startswith("a b\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}ccc")
    assert reasons[0].endswith("…") and len(reasons[0]) == 120


@pytest.mark.parametrize(
    "value",
    [
        None,
        -5,
        2.5,
        "text",
        b"a'b",
        [],
        [1, [2, "it's"]],
        (),
        (1,),
        (1, (2, 3)),
        {1: {"a": []}, "b": (None,)},
        set(),
        {7},
        frozenset({7}),
        10**120,
    ],
)
def test_short_values_are_shown_as_their_repr(value: Any) -> None:
    whole = value if isinstance(value, str) else repr(value)
    assert show(value) == (whole if len(whole) <= 120 else f"{whole[:119]}…")


def _nest(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10**5000, "an integer of 16,610 bits"),
        ([-(10**5000)], "[an integer of 16,610 bits]"),
        (_nest(100_000), "[" * 119 + "…"),
        ([0] * 10_000_000, "[" + "0, " * 39 + "0…"),
        ({"k": "x" * 10_000_000}, "{'k': '" + "x" * 112 + "…"),
    ],
    ids=["integer", "integer in a list", "deep", "long", "long text"],
)
def test_large_values_are_cut(value: Any, text: str) -> None:
    with collect_reasons() as reasons:
        explain("{}", value)
    assert reasons == [text]


def test_tasks_and_threads_use_their_own_collector() -> None:
    async def one(number: int) -> list[str]:
        with collect_reasons() as reasons:
            await asyncio.sleep(0.001)
            await asyncio.to_thread(explain, "{}", number)
        return reasons

    async def many() -> list[list[str]]:
        return await asyncio.gather(*(one(number) for number in range(20)))

    assert asyncio.run(many()) == [[str(number)] for number in range(20)]
    with collect_reasons() as reasons:
        thread = threading.Thread(target=explain, args=("another thread",))
        thread.start()
        thread.join()
    assert reasons == []
