"""The differences of a plan from the last run of its directory: keys of the recipe, and settings of each step."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.recipe.nested import leaves
from pipelines.records.steps import read_record
from pipelines.run.plan import Plan, Step
from pipelines.run.skipping import move_lines

_LONGEST = 60
_MISSING = object()


def render_diff(plan: Plan, steps: Sequence[Step], reasons: Mapping[str, str | None], recipe: str, columns: int) -> list[str]:
    """Render what differs from the last run.

    Args:
        plan: The plan.
        steps: The selected steps.
        reasons: Why each step would run; None: it would be skipped.
        recipe: The text of the resolved recipe.
        columns: The width at which lists of steps are wrapped.
    """
    before = _read(plan.directory / "recipe.yaml")
    if before is None:
        return [f"no run in {plan.directory} yet: all {len(steps)} steps would run"]
    lines = ["recipe", *(list(_compare(before, _settings("recipe.yaml", recipe), plan)) or ["  no differences"])]
    waiting, same = [], []
    for step in steps:
        reason = reasons[step.name]
        if reason is None:
            same.append(step.name)
        elif read_record(step.directory) is None:
            waiting.append(step.name)
        else:
            changed = list(_compare_files(step, plan))
            why = f": {reason}" if not changed and not reason.startswith("if ") else ":" if changed else f" {reason}"
            lines += ["", f"{step.name} would run again{why}", *changed]
    for text, names in (("not done yet", waiting), ("would be skipped", same)):
        if names:
            lines += [
                "",
                *textwrap.wrap(f"{text}: {', '.join(names)}", columns, subsequent_indent="  ", break_on_hyphens=False),
            ]
    return lines


def _compare_files(step: Step, plan: Plan) -> Iterator[str]:
    """Yield the settings that differ from those of the last execution, without those that do not affect the result."""
    for name, text in step.launch.files.items():
        before, now = _read(step.directory / name), _settings(name, text)
        if before is None:
            continue
        counted = _settings(name, step.launch.cache_key_files.get(name, text))
        ignored = {path for path, value in now.items() if counted.get(path, _MISSING) != value}
        yield from _compare(before, now, plan, ignored)


def _compare(before: dict[str, Any], now: dict[str, Any], plan: Plan, ignored: Collection[str] = ()) -> Iterator[str]:
    """Yield a line per changed setting: `key: before -> now`."""
    for path in dict.fromkeys([*before, *now]):
        one, other = before.get(path, _MISSING), now.get(path, _MISSING)
        if path not in ignored and one != other and not _is_moved(one, other, plan):
            yield f"  {path}: {_show(one)} -> {_show(other)}"


def _is_moved(before: Any, now: Any, plan: Plan) -> bool:
    """Return whether two values differ only in the path of the run directory or of an environment."""
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return all(one == other or _is_moved(one, other, plan) for one, other in zip(before, now, strict=True))
    return isinstance(before, str) and isinstance(now, str) and move_lines([before], [now], plan.places) == [now]


def _show(value: Any) -> str:
    if value is _MISSING:
        return "not set"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _read(path: Path) -> dict[str, Any] | None:
    """Return the settings of a file; None if it is missing."""
    try:
        return _settings(path.name, path.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return None


def _settings(name: str, text: str) -> dict[str, Any]:
    """Return dotted keys and values of a configuration; its lines if it cannot be read."""
    import yaml

    try:
        found = json.loads(text) if name.endswith(".json") else yaml.load(text, yaml.CSafeLoader)
    except (ValueError, yaml.YAMLError):
        found = dict(enumerate(text.splitlines(), 1))
    named = _name_items(found)
    return {".".join(path): value for path, value in leaves(named if isinstance(named, dict) else {name: named})}


def _name_items(value: Any) -> Any:
    """Return lists of mappings as mappings, by their items' names or indexes."""
    if isinstance(value, dict):
        return {str(key): _name_items(each) for key, each in value.items()}
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        names = [each.get("name") if isinstance(each, dict) else None for each in value]
        unique = all(isinstance(name, str) for name in names) and len({*names}) == len(names)
        return {
            str(name if unique else place): _name_items(each)
            for place, (name, each) in enumerate(zip(names, value, strict=True))
        }
    return value
