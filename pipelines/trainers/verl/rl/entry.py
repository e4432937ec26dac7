"""Another entry point instead of verl's `main_ppo`: where its module and its configuration are, and how it is started.

The entry's own configuration stays Hydra's primary one, found by Hydra through its `@hydra.main`. The rendered `train.yaml` is
composed over it, as the last item of its defaults.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import InputError, SettingError
from pipelines.recipe.schema import RlStage
from pipelines.shipped import cache_folder
from pipelines.trainers.base import Context
from rewards.suggestions import any_of, did_you_mean

_CONFIGS = "pkg://verl.trainer.config"
"""Where an entry's defaults find `ppo_trainer`."""

_PACKAGES = "packages"
"""The folder of the step with a package that stands for the checkout."""

_SKIPPED = ("__pycache__", "node_modules", "site-packages")
_SOURCES = (".py", ".yaml", ".yml")
_MOST_FILES = 20_000


@dataclass(frozen=True)
class Entry:
    """An entry point in its checkout."""

    module: str
    checkout: Path
    exists: bool
    """Whether the checkout is on this machine; the other values are known only then."""
    is_package: bool = False
    """Whether the checkout is the first package of the module: `recipe` is the whole verl-recipe repository."""
    config_folder: Path | None = None
    config_name: str = ""
    searchpath: tuple[str, ...] = ()
    """Hydra's `searchpath` in the configuration."""


def checkout_folder(checkout: str) -> Path:
    """Return the folder of a checkout: a path, or the downloaded repository at a tag."""
    return Path(checkout) if Path(checkout).is_absolute() else recipes_folder(checkout)


def recipes_folder(tag: str) -> Path:
    """Return the folder into which `pipeline env sync verl --recipes TAG` downloads verl-recipe."""
    return cache_folder() / "verl-recipe" / tag


def find_entry(stage: RlStage) -> Entry:
    """Return a stage's entry point.

    Raises:
        SettingError: The checkout has no such module, or the module is not a program with Hydra.
    """
    assert stage.entry is not None and stage.checkout is not None
    checkout = checkout_folder(stage.checkout)
    if not checkout.exists():
        return Entry(stage.entry, checkout, exists=False)
    if not checkout.is_dir():
        raise SettingError(("stages", stage.name, "checkout"), f"{checkout} is a file; expected a folder")
    loc = ("stages", stage.name, "entry")
    first, _, rest = stage.entry.partition(".")
    inside, whole = _file_of(checkout, stage.entry), _file_of(checkout, rest) if rest else None
    file = inside or whole
    if file is None:
        known = sorted(_programs(checkout, first if rest else ""))
        expected = f"; its programs are {any_of(known[:5])}" if known else "; it has no program with @hydra.main"
        raise SettingError(loc, f"{checkout} has no module {stage.entry}{did_you_mean(stage.entry, known) or expected}")
    try:
        folder, name = _read_main(file)
        searchpath = _read_searchpath(folder, name)
    except ValueError as error:
        raise SettingError(loc, f"{file} {error}") from None
    return Entry(stage.entry, checkout, True, inside is None, folder, name, searchpath)


def entry_command(entry: Entry, context: Context) -> tuple[str, ...]:
    """Return the command that runs the entry with the rendered `train.yaml` over its own configuration."""
    step = context.paths.step("train")
    # As the option `train` of the group `train` in the stage's folder.
    folder = str(step.parent)
    return (str(context.python), "-m", entry.module, "--config-dir", folder, f"+{step.name}@_global_=train", *_overrides(entry))


def compose_overrides(entry: Entry, folder: Path) -> list[str]:
    """Return Hydra's overrides that compose what the command does, without a command line.

    Args:
        entry: The entry.
        folder: The step's folder, with its `train.yaml`.
    """
    return [f"+{folder.name}@_global_=train", *_overrides(entry, str(folder.parent))]


def default_overrides(entry: Entry) -> list[str]:
    """Return Hydra's overrides that compose the entry's own configuration."""
    return list(_overrides(entry))


def _overrides(entry: Entry, *folders: str) -> tuple[str, ...]:
    # Recipes of verl's own repository name a folder relative to it.
    own = (each for each in entry.searchpath if each not in (_CONFIGS, "file://verl/trainer/config"))
    places = [*(f"file://{folder}" for folder in folders), *(_absolute(each, entry.checkout) for each in own), _CONFIGS]
    listed = ",".join("'" + each.replace("\\", "\\\\").replace("'", "\\'") + "'" for each in places)
    # By default Hydra writes logs and copies into a folder of its own.
    return (f"hydra.searchpath=[{listed}]", "hydra/job_logging=stdout", "hydra.output_subdir=null", "hydra.run.dir=.")


def _absolute(place: str, checkout: Path) -> str:
    path = place.removeprefix("file://")
    return place if path == place or path.startswith("/") else f"file://{checkout / path}"


def entry_files(entry: Entry) -> dict[str, str]:
    """Return the package that stands for a checkout which is the first package of its module; none for other checkouts."""
    if not entry.is_package:
        return {}
    first = entry.module.partition(".")[0]
    text = f'"""The modules of the checkout, whatever its folder is called."""\n\n__path__ = [{str(entry.checkout)!r}]\n'
    return {f"{_PACKAGES}/{first}/__init__.py": text}


def entry_variables(entry: Entry, context: Context) -> dict[str, str]:
    """Return the variables with which all processes import the entry."""
    folder = context.paths.step("train") / _PACKAGES if entry.is_package else entry.checkout
    return {"PYTHONPATH": str(folder)}


def digest_sources(folder: Path) -> str:
    """Return a digest of the names and contents of a checkout's Python and YAML files, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for file in source_files(folder):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder)} {content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def mentions(folder: Path, name: str) -> bool:
    """Return whether a Python file of a checkout has a name in quotes, as code that registers it has."""
    quoted = (f'"{name}"', f"'{name}'")
    texts = (each.read_text(encoding="utf-8", errors="replace") for each in source_files(folder) if each.suffix == ".py")
    return any(quote in text for text in texts for quote in quoted)


def source_files(folder: Path) -> Iterator[Path]:
    """Yield the Python and YAML files of a checkout, sorted; not those of environments and run directories in it.

    Raises:
        InputError: There are too many: it is not a folder of code.
    """
    found = 0
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED
            and not (here / name / "pyvenv.cfg").exists()
            and not (here / name / "run.json").exists()
        )
        for name in sorted(names):
            if name.endswith(_SOURCES) and (here / name).is_file():
                found += 1
                if found > _MOST_FILES:
                    raise InputError(
                        f"checkout {folder} has more than {_MOST_FILES:,} Python and YAML files; "
                        "expected the folder with the code of the entry"
                    )
                yield here / name


def _file_of(folder: Path, module: str) -> Path | None:
    path = folder.joinpath(*module.split("."))
    return next((each for each in (path.with_name(f"{path.name}.py"), path / "__main__.py") if each.is_file()), None)


def _programs(checkout: Path, first: str) -> Iterator[str]:
    """Yield the modules with `@hydra.main` in a checkout; those of other packages as modules of `first`, if it is not empty."""
    for file in source_files(checkout):
        if file.suffix == ".py" and "hydra.main" in file.read_text(encoding="utf-8", errors="replace"):
            module = ".".join(file.relative_to(checkout).with_suffix("").parts)
            yield module if not first or "." not in module or module.startswith(f"{first}.") else f"{first}.{module}"


def _read_main(file: Path) -> tuple[Path, str]:
    """Return the folder and the name of the configuration in the `@hydra.main` of a file.

    Raises:
        ValueError: It is missing, or cannot be read.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        raise ValueError(f"is not Python: line {error.lineno}: {error.msg}") from None
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call) and _is_hydra_main(each.func)]
    if not calls:
        raise ValueError("has no function with @hydra.main; expected a program with verl's configuration")
    if not any(isinstance(each, ast.If) and "__main__" in ast.dump(each.test) for each in tree.body):
        raise ValueError("has no `if __name__ == '__main__'`: started as a program, it would do nothing")
    given: dict[str, Any] = dict(zip(("config_path", "config_name"), calls[0].args, strict=False))
    given |= {each.arg: each.value for each in calls[0].keywords if each.arg}
    values = {key: each.value for key, each in given.items() if isinstance(each, ast.Constant)}
    path, name = values.get("config_path"), values.get("config_name")
    if not isinstance(path, str) or not isinstance(name, str) or "://" in path:
        raise ValueError("has no config_path and config_name in its @hydra.main; expected a folder and a name, as texts")
    return Path(os.path.normpath(file.parent / path)), name.removesuffix(".yaml")


def _is_hydra_main(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and ast.unparse(function) == "hydra.main"


def _read_searchpath(folder: Path, name: str) -> tuple[str, ...]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    file = folder / f"{name}.yaml"
    if not file.is_file():
        raise ValueError(f"names the configuration {file}, which does not exist")
    try:
        values = YAML(typ="safe", pure=True).load(file)
    except (YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"names the configuration {file}, which is not YAML: {reason}") from None
    hydra = values.get("hydra") if isinstance(values, dict) else None
    given = hydra.get("searchpath") if isinstance(hydra, dict) else None
    return tuple(map(str, given)) if isinstance(given, list) else ()
