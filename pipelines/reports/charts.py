"""The curves of a stage as pictures: those of all runs over each other, by topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from pipelines.reports.catalogue import TOPICS, Place, find_place
from pipelines.reports.page import Constant, Curve, Picture, StageCurves, TopicCurves
from pipelines.reports.text import show
from pipelines.reports.tracks import LONGEST, Track, thin

_POINTS = 500_000
"""Points in a page."""

_FEWEST = 100
_MOST_METRICS = 400
"""Metrics of a stage of a run."""

_MOST_CURVES = 4_000
"""In a page."""


@dataclass
class StageTracks:
    """The metrics of a stage of all runs."""

    stage: str
    kind: Literal["sft", "rl"]
    runs: dict[int, Mapping[str, Track]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Steps:
    """The steps of curves, each list once."""

    lists: list[list[int]] = field(default_factory=list)
    places: dict[tuple[int, ...], int] = field(default_factory=dict)

    def place(self, steps: list[int]) -> int:
        key = tuple(steps)
        if key not in self.places:
            self.places[key] = len(self.lists)
            self.lists.append(steps)
        return self.places[key]


def draw(stages: Sequence[StageTracks]) -> tuple[list[list[int]], list[StageCurves]]:
    """Return the steps of all curves, and the curves of each stage."""
    steps = _Steps()
    count = sum(len(tracks) for stage in stages for tracks in stage.runs.values())
    longest = max(_FEWEST, min(LONGEST, _POINTS // max(1, min(count, _MOST_CURVES))))
    most = min(_MOST_METRICS, _MOST_CURVES // max(1, sum(len(stage.runs) for stage in stages)))
    return steps.lists, [_draw_stage(stage, steps, longest, most) for stage in stages]


def _draw_stage(stage: StageTracks, steps: _Steps, longest: int, most: int) -> StageCurves:
    pictures: dict[tuple[int, int, str], list[tuple[Place, int, str, Track]]] = {}
    notes = list(stage.notes)
    for run, tracks in stage.runs.items():
        named = [(find_place(name), name) for name in tracks]
        if len(named) > most:
            notes.append(f"{len(named) - most:,} of {len(named):,} metrics are left out; metrics.jsonl has all")
            named = sorted(named, key=lambda each: each[0].topic)[:most]
        for place, name in named:
            track = tracks[name]
            hidden = track.is_zero and place.topic < len(TOPICS) - 1 and TOPICS[place.topic].charts[place.chart].hide_zero
            if (track.total or track.summary.odd_total) and not hidden:
                pictures.setdefault((place.topic, place.chart, place.title), []).append((place, run, name, track))
    topics = []
    thinned = 0
    for number, topic in enumerate(TOPICS):
        drawn, constants = [], []
        for key in sorted(each for each in pictures if each[0] == number):
            found = pictures[key]
            if all(track.is_constant and (track.is_zero or not topic.shows_constants) for *_, track in found):
                constants += [Constant(run=run, metric=show(name), value=track.ys[-1]) for _, run, name, track in found]
                continue
            thinned = max(thinned, *(track.total for *_, track in found if track.total > longest), 0)
            drawn.append(_draw_picture(key, found, steps, longest))
        if drawn or constants:
            topics.append(
                TopicCurves(
                    name=topic.name, about=topic.about, folded=topic.folded, pictures=_join_same(drawn), constants=constants
                )
            )
    if thinned:
        notes.append(
            f"curves of up to {thinned:,} steps are drawn with at most {longest:,} points: of each span of steps the least and "
            "the greatest value; tables beside them are of all steps"
        )
    return StageCurves(stage=stage.stage, kind=stage.kind, topics=topics, notes=notes)


def _draw_picture(
    key: tuple[int, int, str], found: Sequence[tuple[Place, int, str, Track]], steps: _Steps, longest: int
) -> Picture:
    number, place, title = key
    charts = TOPICS[number].charts
    labels = [(run, each.label) for each, run, _, _ in found]
    curves: list[Curve] = []
    for each, run, name, track in found:
        xs, ys = thin(track.xs, track.ys, longest)
        curve = Curve(
            run=run,
            metric=show(name),
            label=show(each.label if labels.count((run, each.label)) == 1 else name),
            role=each.role,
            x=steps.place(xs),
            y=ys,
            summary=track.summary,
        )
        same = next((at for at, other in enumerate(curves) if _is_same(curve, other)), None)
        if same is None:
            curves.append(curve)
        else:
            curves[same] = msgspec.structs.replace(curves[same], label=f"{_name(curves[same])} = {_name(curve)}")
    chart = charts[place] if charts else None
    return Picture(title=show(title), unit=chart.unit if chart else "", form=chart.form if chart else "lines", curves=curves)


def _is_same(curve: Curve, other: Curve) -> bool:
    """Return whether two curves of a run would be drawn over each other."""
    one, two = ((each.run, each.role, each.x, each.y, each.summary) for each in (curve, other))
    return curve.role == "line" and one == two


def _name(curve: Curve) -> str:
    return curve.label or curve.metric


def _join_same(pictures: list[Picture]) -> list[Picture]:
    """Return pictures without those that show the same as an earlier one, whose title then names both."""
    joined: list[Picture] = []
    for each in pictures:
        same = next((at for at, other in enumerate(joined) if _values(other) == _values(each)), None)
        if same is None:
            joined.append(each)
        else:
            joined[same] = msgspec.structs.replace(joined[same], title=f"{joined[same].title} = {each.title}")
    return joined


def _values(picture: Picture) -> list[tuple[object, ...]]:
    return [(each.run, each.role, each.x, each.y) for each in picture.curves]
