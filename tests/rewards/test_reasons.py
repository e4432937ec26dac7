"""Reasons: told to whoever listens, and free where nobody does."""

import asyncio
import threading

from rewards.reasons import collect_reasons, explain


def test_reasons_go_to_the_one_who_listens() -> None:
    explain("nobody hears {}", 1)
    with collect_reasons() as outer:
        explain("{} of {}", 1, "two")
        with collect_reasons() as inner:
            explain("inside")
        explain("again")
    assert (outer, inner) == (["1 of two", "again"], ["inside"])


def test_values_are_left_alone_where_nobody_listens() -> None:
    class Loud:
        def __repr__(self) -> str:
            raise AssertionError("turned into text")

    explain("{}", Loud())


def test_reasons_are_short_printable_lines() -> None:
    with collect_reasons() as reasons:
        explain("{}", "a\nb\x1b[2J\ud800" + "c" * 1000)
    assert reasons[0].startswith("a b\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}ccc")
    assert reasons[0].endswith("…") and len(reasons[0]) == 120


def test_tasks_and_threads_tell_their_own_listener() -> None:
    async def one(number: int) -> list[str]:
        with collect_reasons() as reasons:
            await asyncio.sleep(0.001)
            await asyncio.to_thread(explain, "{}", number)
        return reasons

    async def many() -> list[list[str]]:
        return await asyncio.gather(*(one(number) for number in range(20)))

    assert asyncio.run(many()) == [[str(number)] for number in range(20)]
    with collect_reasons() as reasons:
        thread = threading.Thread(target=explain, args=("a thread of its own",))
        thread.start()
        thread.join()
    assert reasons == []
