"""Downloads of models at a revision, from a stand-in of the hub on loopback, by huggingface_hub of a trainer's environment."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines.digests import Digests
from pipelines.models.folder import find_model_folder, is_cached
from tests import ROOT

COMMIT = "a" * 40
FILES = {"config.json": b"{}", "model.safetensors": b"weights", "pytorch_model.bin": b"old", "original/consolidated.pth": b"x"}


class _Hub(BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 (one for all requests)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(path)
        if path in (f"/api/models/owner/name/revision/{each}" for each in ("v1", COMMIT)):
            siblings = [{"rfilename": name} for name in FILES]
            self._send(json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings}).encode(), body=body)
            return
        if path == f"/api/models/owner/name/tree/{COMMIT}":
            tree = [{"type": "file", "path": name, "size": len(data), "oid": name} for name, data in FILES.items()]
            self._send(json.dumps(tree).encode(), body=body)
            return
        name = next((name for name in FILES if path in (f"/owner/name/resolve/{each}/{name}" for each in ("v1", COMMIT))), None)
        if name is None:
            self._send(b'{"error": "Invalid rev id"}', 404, {"X-Error-Code": "RevisionNotFound"}, body=body)
        else:
            self._send(FILES[name], 200, {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT}, body=body)

    def _send(self, data: bytes, status: int = 200, headers: dict[str, str] | None = None, *, body: bool) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


@pytest.fixture
def endpoint() -> Iterator[str]:
    _Hub.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fetch(python: Path, folder: Path, revision: str, **variables: str) -> subprocess.CompletedProcess[str]:
    output = folder / "runs" / "model"
    (folder / "fetch.json").write_text(json.dumps({"name": "owner/name", "revision": revision, "output": str(output)}))
    environment = {key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE")}
    environment |= {"PYTHONPATH": str(ROOT), "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1", **variables}
    argv = [str(python), "-m", "pipelines.models.fetch", "fetch.json"]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_revision_is_resolved_to_a_commit(
    endpoint: str, tmp_path: Path, trainer_python: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    python = trainer_python("verl")
    done = fetch(python, tmp_path, "v1", HF_ENDPOINT=endpoint)
    assert done.returncode == 0, done.stderr
    model = tmp_path / "runs" / "model"
    assert sorted(path.name for path in model.iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((tmp_path / "notes.json").read_text()) == [f"owner/name at v1 is commit {COMMIT}"]
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    assert find_model_folder("owner/name", "v1") == find_model_folder("owner/name", COMMIT) == model.resolve()
    assert is_cached("models", "owner/name", "v1") and not is_cached("models", "owner/name")
    # The digest of a snapshot is that of its commit: the weights are not read.
    (model / "model.safetensors").resolve().write_bytes(b"others")
    before = Digests(tmp_path / "a.json").of(model)
    (model / "model.safetensors").resolve().write_bytes(b"weights")
    assert Digests(tmp_path / "b.json").of(model) == before
    # Offline, the cache is enough.
    model.unlink()
    done = fetch(python, tmp_path, "v1", HF_HUB_OFFLINE="1")
    assert (done.returncode, model.is_dir()) == (0, True), done.stderr


def test_a_missing_revision_is_one_line(endpoint: str, tmp_path: Path, trainer_python: Callable[[str], Path]) -> None:
    done = fetch(trainer_python("verl"), tmp_path, "v2", HF_ENDPOINT=endpoint)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: owner/name at v2: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs" / "model").exists()
