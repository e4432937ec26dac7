"""`pipeline init`: a recipe that extends another, with the keys worth changing as comments."""

from __future__ import annotations

import os
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.cli.recipes import first_sentence
from pipelines.console import tables
from pipelines.errors import InputError
from pipelines.recipe.explaining.examples import flow
from pipelines.recipe.explaining.index import Key, recipe_keys
from pipelines.recipe.finding import find_recipe, read_recipe
from pipelines.recipe.loading import Loaded, load
from pipelines.recipe.nodes import Node
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.shipped import find_recipes

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_RECIPE = ("model", "seed", "hardware", "evaluate")
_STAGE = {
    "sft": (
        *("data.train", "epochs", "steps", "learning_rate", "batch", "max_tokens", "lora", "packing"),
        *("save_every", "validate_every", "keep_best"),
    ),
    "rl": (
        *("algorithm", "data.train", "reward", "epochs", "steps", "learning_rate", "batch", "rollout", "kl", "lora", "tool"),
        *("save_every", "validate_every", "keep_best"),
    ),
}
"""Kind of stage -> the keys worth changing, in this order; those that the recipe does not set are left out if they have no
example here."""

_EXAMPLES = {"evaluate": {"on": ["humaneval"], "limit": 100}, "lora": {"rank": 8, "alpha": 16}}
"""Values of keys that many recipes do not set."""

_COLUMN = 44
"""Where the comments on values begin."""

_LONGEST_NOTE = 60


def write_recipe(name: str, base: str) -> None:
    """Write NAME.yaml and print the next command.

    Args:
        name: The name of the run; an ending `.yaml` is ignored.
        base: The recipe to extend: a file, or the name of one that ships.

    Raises:
        InputError: The name is not that of a folder, the file exists, or the recipe to extend has mistakes.
    """
    name = name.removesuffix(".yaml")
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not a name: expected letters, digits, '.', '_' and '-', starting with a letter or a digit"
        )
    target, found = Path(f"{name}.yaml"), find_recipe(base, Path.cwd())
    if target.name == found.name:
        raise InputError(f"{target} cannot extend {base}: a recipe of the same name would extend itself; choose another name")
    loaded, raw = load(found), read_recipe(found)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write("\n".join(_render(name, found, loaded, raw)) + "\n")
    except FileExistsError:
        raise InputError(f"{target} exists; choose another name, or edit it: it is not overwritten") from None
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}") from None
    tables.say(f"wrote {target}, which extends {base}; edit it, then")
    tables.say(f"next: pipeline plan {shlex.quote(str(target))}")


def _render(name: str, found: Path, loaded: Loaded, raw: Node) -> Iterator[str]:
    extended = found.name if found.parent == find_recipes(Path.cwd()) else os.path.relpath(found)
    yield f"# yaml-language-server: $schema={find_recipes(Path.cwd()) / 'recipe.schema.json'}"
    yield "#"
    yield from _wrap(f"{name} extends {extended}: {first_sentence(found)}.")
    yield "# Each comment below is a key with its value there: to change it, remove the # and write another value."
    yield "# `pipeline explain KEY` describes a key, `pipeline plan` prints the result."
    yield f"extends: {extended}"
    yield f"name: {name}"
    yield ""
    for key in _RECIPE:
        yield from _comment(key, getattr(loaded.recipe, key), raw.child(key), (), "# ")
    yield "stages:"
    for stage, node in zip(loaded.recipe.stages, raw.stages, strict=True):
        yield f"  - name: {stage.name}"
        for key in _STAGE[stage.kind]:
            yield from _comment(key, _value(stage, key), _find(node, key), (stage.kind,), "    # ")


def _comment(key: str, value: Any, written: Node | None, kinds: tuple[str, ...], indent: str) -> Iterator[str]:
    """Yield the lines of a key, nothing if the recipe does not set it."""
    shown = _plain(value, written)
    if shown is None:
        shown = _EXAMPLES.get(key)
    if shown is None or shown == {}:
        return
    about = next(each for each in recipe_keys() if each.short == key and (not kinds or set(kinds) & {*each.stages}))
    first, _, second = key.partition(".")
    if isinstance(shown, dict) and not second and len(f"{indent}{key}: {flow(shown)}") > _COLUMN - 2:
        yield f"{indent}{key}:"
        for name, each in shown.items():
            yield _line(f"{indent}  {name}: {flow(each)}", _describe(f"{key}.{name}", kinds))
        return
    if second:
        # Replaced as a whole: the options of one converter are not those of another.
        yield _line(f"{indent}{first}:", _sentence(about))
        yield f"{indent}  {second}: !replace{f' {flow(shown)}' if isinstance(shown, dict) else ''}"
        yield from (f"{indent}    - {flow(each)}" for each in shown if isinstance(shown, list))
        return
    yield _line(f"{indent}{key}: {flow(shown)}", _describe(key, kinds))


def _line(text: str, note: str) -> str:
    return f"{text:<{_COLUMN - 2}}  # {note}" if note else text


def _describe(short: str, kinds: tuple[str, ...]) -> str:
    found = (each for each in recipe_keys() if each.short == short and (not kinds or set(kinds) & {*each.stages}))
    return next(map(_sentence, found), "")


def _sentence(key: Key) -> str:
    """Return the first sentence of a key's meaning; of a long one the first part."""
    sentence = re.split(r"\. |; |: |\.$", key.meaning)[0]
    return sentence if len(sentence) <= _LONGEST_NOTE else sentence.split(", ")[0]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, 2 * _LONGEST_NOTE, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _value(stage: SftStage | RlStage, key: str) -> Any:
    value: Any = stage
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _find(node: Node, key: str) -> Node | None:
    found: Node | None = node
    for name in key.split("."):
        found = found.child(name) if found is not None else None
    return found


def _plain(value: Any, written: Node | None) -> Any:
    """Return a value as plain data without defaults; as it was written where it has variables, whose values may change."""
    if written is not None and any(isinstance(node.value, str) and "${" in node.value for _, node in written.walk()):
        return written.plain()
    if isinstance(value, list):
        return [_plain(each, None) for each in value]
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_unset=True)
    return value
