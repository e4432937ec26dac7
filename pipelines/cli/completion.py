"""What the shell completes: recipes, stages, runs, keys. A mistake or a missing file completes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import typer

Complete = Callable[[typer.Context, str], list[str]]


def _silent(find: Callable[[typer.Context, str], Iterable[str]]) -> Complete:
    """Return a completion that prints no error: it would be printed into the command line that is being typed."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return sorted({each for each in find(ctx, incomplete) if each.startswith(incomplete)})
        except Exception:
            return []

    return complete


@_silent
def recipes(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Complete a recipe: one that ships, or a YAML file."""
    from pipelines.shipped import find_recipes

    yield from (path.name for path in find_recipes(Path.cwd()).glob("*.yaml"))
    folder = incomplete.rpartition("/")[0]
    yield from (f"{folder}/{path.name}" if folder else path.name for path in Path(folder or ".").expanduser().glob("*.yaml"))


@_silent
def stages(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Complete a stage of the recipe that was typed before."""
    yield from _stages(ctx)


@_silent
def settings(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Complete the key of a --set option, with the recipe's stages."""
    from pipelines.recipe.explaining.index import recipe_keys

    kinds = _stages(ctx)
    for key in recipe_keys():
        if key.keys:
            continue
        if not key.stages:
            yield f"{key.name}="
        for stage, kind in kinds.items():
            if kind in key.stages:
                yield f"stages.{stage}.{key.short}="


@_silent
def keys(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Complete a key of a recipe or of a trainer."""
    from pipelines.recipe.explaining.lookup import names

    yield from names()


@_silent
def runs(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Complete a run directory, or one of its stages."""
    from pipelines.records.runs import find_runs, is_run, open_run

    folder = Path(incomplete.rpartition("/")[0] or "runs")
    if is_run(folder):
        yield from (f"{folder}/{stage.name}" for stage in open_run(folder).stages)
    else:
        yield from map(str, find_runs(folder))


@_silent
def evaluation_sets(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Complete an evaluation set."""
    from pipelines.shipped import RECIPES

    yield from ("own", *(path.stem for path in (RECIPES / "evaluations").glob("*.yaml")))


@_silent
def algorithms(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """Complete an algorithm."""
    from pipelines.recipe.algorithms import ALGORITHMS, OUTSIDE

    return [*ALGORITHMS, *OUTSIDE]


@_silent
def converters(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """Complete a converter."""
    from preprocess.converters import CONVERTERS

    return list(CONVERTERS)


@_silent
def rewards(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """Complete a reward."""
    from rewards.plugins.loading import list_rewards

    return [reward.name for reward in list_rewards()]


def _stages(ctx: typer.Context) -> dict[str, str]:
    """Return name -> kind of each stage of the recipe in the command line."""
    from pipelines.recipe.finding import find_recipe, read_recipe

    # An option without its value, which is being typed, leaves the arguments unparsed.
    typed = ctx.params.get("recipe") or next(word for word in ctx.args if not word.startswith("-"))
    root = read_recipe(find_recipe(str(typed), Path.cwd()))
    return {stage.name: stage.text("kind") or "" for stage in root.stages if stage.name is not None}
