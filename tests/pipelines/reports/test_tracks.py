"""The points of a metric: thinned as they grow, with a summary of all."""

from __future__ import annotations

import math

from pipelines.reports.tracks import LONGEST, Track, add_rows, thin


def test_short_tracks_are_complete() -> None:
    track = Track()
    for step in range(1, 101):
        track.add(step, step / 3)
    assert (track.xs, len(track.ys)) == (list(range(1, 101)), 100)


def test_thinning_keeps_ends_and_extremes() -> None:
    track = Track()
    for step in range(50_000):
        track.add(step, math.sin(step / 500) + (40 if step == 31_234 else 0))
    assert len(track.xs) <= 2 * LONGEST
    assert (track.xs[0], track.xs[-1]) == (0, 49_999)
    assert 31_234 in track.xs, "a spike of one step"
    assert (track.summary.high_step, track.summary.points, track.summary.last_step) == (31_234, 50_000, 49_999)
    assert track.xs == sorted(set(track.xs))


def test_thin_to_fewer() -> None:
    xs, ys = thin(range(1000), [float(each % 7) for each in range(1000)], 100)
    assert len(xs) == len(ys) <= 100
    assert (min(ys), max(ys), xs[0], xs[-1]) == (0.0, 6.0, 0, 999)


def test_values_that_no_curve_can_show_are_said() -> None:
    track = Track()
    for step, value in enumerate([1.0, math.nan, math.inf, 2.0], 1):
        track.add(step, value)
    assert [(each.step, each.value) for each in track.summary.odd] == [(2, "not a number"), (3, "infinite")]
    assert (track.ys, track.summary.mean) == ([1.0, 2.0], 1.5)


def test_only_numbers_are_added() -> None:
    tracks: dict[str, Track] = {}
    add_rows(tracks, [{"step": 1, "loss": 2, "text": "x", "flag": True, "none": None}])  # type: ignore[dict-item]
    assert list(tracks) == ["loss"]


def test_numbers_that_are_too_large() -> None:
    tracks: dict[str, Track] = {}
    add_rows(tracks, [{"step": 1, "loss": 10**400}, {"step": math.nan, "loss": 1.0}, {"step": 2, "loss": 3}])
    assert (tracks["loss"].ys, tracks["loss"].summary.odd_total) == ([3.0], 1)
