"""MLflow: a run per stage, below a run for all of them, on a tracking server."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.recipe.tracking import Tracker as Options
from pipelines.records.metrics import Row
from pipelines.trackers.base import NOTHING, Samples, TrackedRun

_ID = "code_post_training.id"
"""The tag by which a run is found again: MLflow chooses its own ids."""

_MARK = "step"
"""The metric that is logged last of each step: a step that has it is complete."""

# Limits of a request (mlflow/utils/validation.py).
_METRICS = 1000
_PARAMETERS = 100
_LONGEST = 5000

# mlflow's defaults would try for minutes; the caller tries again anyway.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class Mlflow:
    """A `Tracker` with MLflow's client."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._parent = self._run = self.address = ""

    def start(self, run: TrackedRun) -> float | None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        self._client: Any = MlflowClient(tracking_uri=self._options.url)
        server = self._options.url or os.environ.get("MLFLOW_TRACKING_URI", "")
        try:
            self._experiment = self._find_experiment()
        except Exception as error:
            # Its message repeats the request, with all that urllib3 says about it.
            if "Max retries exceeded" in str(error):
                raise ConnectionError(f"{server} does not answer") from error
            raise
        self.address = f"{server.rstrip('/')}/#/experiments/{self._experiment}"
        self._parent = self._find_run(run.group, run.group, {})
        self._run = self._find_run(run.id, run.name, {"mlflow.parentRunId": self._parent})
        for each in (self._parent, self._run):
            self._client.update_run(each, status="RUNNING")
        found = self._client.get_run(self._run).data
        if not found.params:
            self._log_parameters(run.configuration)
        return float(found.metrics.get(_MARK, NOTHING))

    def log(self, rows: Sequence[Row]) -> None:
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        batch: list[Any] = []
        for row in rows:
            step = int(row["step"])
            metrics = [Metric(_to_name(key), float(value), now, step) for key, value in row.items() if key != _MARK]
            metrics.append(Metric(_MARK, step, now, step))
            if batch and len(batch) + len(metrics) > _METRICS:
                self._send(batch)
                batch = []
            batch += metrics
        self._send(batch)

    def log_samples(self, samples: Samples) -> None:
        table = {"columns": list(samples.columns), "data": [list(row) for row in samples.rows]}
        self._client.log_text(self._run, json.dumps(table, ensure_ascii=False), "samples.json")
        self._client.set_tag(self._run, "mlflow.loggedArtifacts", json.dumps([{"path": "samples.json", "type": "table"}]))

    def log_figures(self, figures: Mapping[str, float]) -> None:
        found = self._client.get_run(self._run).data.metrics
        for key, value in figures.items():
            if found.get(_to_name(key)) != value:
                self._client.log_metric(self._run, _to_name(key), value, step=int(found.get(_MARK, 0)))

    def log_model(self, folder: Path) -> None:
        self._client.set_tag(self._run, "model", str(folder))
        if self._options.upload_model:
            self._client.log_artifacts(self._run, str(folder), "model")

    def finish(self, *, complete: bool) -> None:
        for each in (self._run, self._parent):
            self._client.set_terminated(each, "FINISHED" if complete else "KILLED")

    def _find_experiment(self) -> str:
        name = self._options.project
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except Exception:
            # Another run created it in between.
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _find_run(self, identity: str, name: str, tags: Mapping[str, str]) -> str:
        """Return MLflow's id of the run with that identity; created if it is missing."""
        found = self._client.search_runs([self._experiment], f"tags.`{_ID}` = '{identity}'", max_results=1)
        if found:
            return str(found[0].info.run_id)
        made = self._client.create_run(self._experiment, tags={_ID: identity, **tags}, run_name=name)
        return str(made.info.run_id)

    def _log_parameters(self, configuration: Mapping[str, object]) -> None:
        from mlflow.entities import Param

        parameters = [Param(_to_name(key), str(value)[:_LONGEST]) for key, value in configuration.items()]
        for start in range(0, len(parameters), _PARAMETERS):
            self._client.log_batch(self._run, params=parameters[start : start + _PARAMETERS])

    def _send(self, metrics: Sequence[Any]) -> None:
        for start in range(0, len(metrics), _METRICS):
            self._client.log_batch(self._run, metrics=metrics[start : start + _METRICS], synchronous=True)


def _to_name(key: str) -> str:
    """Return a name that MLflow accepts: verl's `mean@4` has a character that it refuses."""
    return re.sub(r"[^\w\-. /]", "_", key.replace("@", "_at_"))
