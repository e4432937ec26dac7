"""Print the configuration of an entry point as Hydra composes it: `python -m pipelines.trainers.verl.entry_defaults REQUEST`.

It runs in verl's environment, which has Hydra, and imports neither verl nor the entry.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from pipelines.trainers.answering import describe

_PACKAGE = "pkg://verl."


def compose_keys(folder: str, name: str, overrides: list[str]) -> dict[str, Any]:
    """Return the value of every dotted key of a configuration; those with a value that depends on other keys, as text.

    Args:
        folder: The folder of the configuration.
        name: Its name.
        overrides: Hydra's overrides.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(folder, version_base=None):
        config = compose(name, [_by_path(each) for each in overrides])
    return dict(_leaves(OmegaConf.to_container(config)))


def _by_path(override: str) -> str:
    """Replace packages of verl by their folders: importing verl takes long."""
    if _PACKAGE not in override:
        return override
    spec = find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("this environment has no verl")
    folder = spec.submodule_search_locations[0]
    start, _, rest = override.partition(_PACKAGE)
    package, quote, end = rest.partition("'")
    return f"{start}file://{folder}/{package.replace('.', '/')}{quote}{end}"


def _leaves(value: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for key, each in value.items():
        path = f"{above}.{key}" if above else str(key)
        if isinstance(each, Mapping) and each:
            yield from _leaves(each, path)
        else:
            yield path, each


def main() -> None:
    """Print a JSON line: the keys, or the problem."""
    try:
        answer: dict[str, Any] = {"keys": compose_keys(**json.loads(sys.argv[1]))}
    except Exception as error:
        answer = {"problem": describe(error)}
    print(json.dumps(answer, default=str))


if __name__ == "__main__":
    main()
