"""prepare.json: which rows `preprocess.jobs.prepare` prepares for a stage, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from preprocess.config import ComparedSet, Data, Decontamination, Model, PassRates, Sandbox, Source, Split
from preprocess.errors import SourceError
from preprocess.rows import Shape
from rewards.suggestions import suggestion

LocalPath = Annotated[Path, Field(strict=False)]


class HubConfig(Model):
    """How sources with hub names are downloaded."""

    python: LocalPath
    """A Python that has `datasets`."""
    folder: LocalPath
    """The folder of the downloaded files."""


class RayConfig(Model):
    """A Ray cluster."""

    address: str
    """host:port, `auto` or `local`."""
    python: LocalPath
    """A Python that has Ray: verl's."""


class PrepareConfig(Data):
    """The rows of one stage."""

    shape: Shape
    seed: int = 17
    output: LocalPath
    """The folder of the prepared files."""
    sandbox: Sandbox = Sandbox()
    """Where programs run whose execution is traced; it does not change the rows."""
    hub: HubConfig | None = None
    ray: RayConfig | None = None
    """Convert on a Ray cluster; default: on this machine. It does not change the rows."""


def read_config(text: str | bytes) -> PrepareConfig:
    """Parse a configuration in JSON.

    Raises:
        SourceError: It is not JSON, or a key is unknown, missing or has a wrong value; one line.
    """
    try:
        return PrepareConfig.model_validate_json(text)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
    # Names in parentheses are not keys, but alternatives of a union.
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in found["loc"] if not str(step).startswith("(")]
    place = "".join(steps).removeprefix(".")
    if found["type"] == "extra_forbidden":
        models = (PrepareConfig, Source, Split, PassRates, Decontamination, ComparedSet, Sandbox, HubConfig, RayConfig)
        known = {name for model in models for name in model.model_fields}
        raise SourceError(f"{place}: unknown key{suggestion(found['loc'][-1], known)}")
    value = "" if found["type"] in ("missing", "json_invalid", "value_error") else f"found {found['input']!r:.80}; "
    raise SourceError(f"{place or 'the configuration'}: {value}{found['msg']}")


def read_config_file(path: Path) -> PrepareConfig:
    """Read a configuration file.

    Raises:
        SourceError: It cannot be read, or as `read_config`.
    """
    try:
        return read_config(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from None
