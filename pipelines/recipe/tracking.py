"""`trackers` of a recipe: where the metrics of each stage are shown, such as W&B or MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from pipelines.recipe.nodes import Loc
from preprocess.config import Model
from preprocess.config.text_fields import check_url
from rewards.suggestions import any_of

TrackerName = Literal["tensorboard", "wandb", "mlflow", "swanlab", "trackio"]

TRACKERS: tuple[TrackerName, ...] = get_args(TrackerName)

_OPTIONS: dict[TrackerName, tuple[str, ...]] = {
    "tensorboard": (),
    "wandb": ("project", "entity", "url", "offline", "upload_model"),
    "mlflow": ("project", "url", "upload_model"),
    "swanlab": ("project", "entity", "offline"),
    "trackio": ("project", "url"),
}
"""Tracker -> the options that it has."""


class Tracker(Model):
    """A tracker with its options. API keys are no options: the trackers read them from their own variables and files."""

    name: TrackerName
    """The tracker."""
    project: str = Field(default="code-post-training", min_length=1)
    """The project of the tracker runs, in MLflow the experiment."""
    entity: str | None = Field(default=None, min_length=1)
    """The team of W&B, or the workspace of SwanLab; default: the user's own."""
    url: str | None = Field(default=None, min_length=1)
    """The server: of MLflow its tracking URI, of W&B a self-hosted one, of Trackio a server or a Space. Default: the tracker's
    own variables, such as MLFLOW_TRACKING_URI."""
    offline: bool = False
    """W&B and SwanLab: write files to the run directory instead of sending to a server."""
    upload_model: bool = False
    """W&B and MLflow: upload the final model of each stage; default: its path is stored."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        valid = _OPTIONS[self.name]
        for option in sorted(self.model_fields_set - {"name", *valid}):
            raise ValueError(f"{self.name} has no option {option}; its options are {any_of(valid) if valid else 'none'}")
        if self.url is not None:
            self._check_url(self.url)
        return self

    def _check_url(self, url: str) -> None:
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ValueError(f"url is {url!r}, expected a URL such as https://host:port") from None
        if "@" in parts.netloc or "token=" in parts.query:
            # The recipe is kept in the run directory. The message does not repeat the secret.
            raise ValueError(f"url contains a password or a token; {_CREDENTIALS[self.name]}")
        if self.name == "wandb" or parts.scheme.startswith("http"):
            check_url(url, "the server's URL, such as https://host:port")


_CREDENTIALS = {
    "wandb": "set WANDB_API_KEY instead",
    "mlflow": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead",
    "trackio": "set TRACKIO_WRITE_TOKEN instead",
}


def _tracker_tag(value: Any) -> str:
    return "(mapping)" if isinstance(value, dict | BaseModel) else "(text)"


TrackerEntry = Annotated[
    Annotated[TrackerName, Tag("(text)")] | Annotated[Tracker, Tag("(mapping)")], Discriminator(_tracker_tag)
]


def list_trackers(given: Sequence[TrackerName | Tracker]) -> list[Tracker]:
    """Return trackers, however they are written, with their options."""
    return [Tracker(name=each) if isinstance(each, str) else each for each in given]


def check(given: Sequence[TrackerName | Tracker]) -> Iterator[tuple[Loc, str]]:
    """Find trackers that are listed twice."""
    names = [each.name for each in list_trackers(given)]
    yield from (((index,), f"{name} is listed twice") for index, name in enumerate(names) if names.index(name) != index)
