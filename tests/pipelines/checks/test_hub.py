"""Requests to the hub, which is a small server here, and what the cache answers without it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines.checks import hub
from pipelines.checks.hub import Hub
from pipelines.models.folder import is_cached
from pipelines.recipe.loading import load
from pipelines.recipe.schema import Recipe

MODEL = "Qwen/Qwen2.5-Coder-7B-Instruct"
DATA = "PRIME-RL/Eurus-2-RL-Data"


class _Server(BaseHTTPRequestHandler):
    """Respond with the status in the path; never respond to a path with `hangs`."""

    ends = threading.Event()
    asked: list[tuple[str, str | None]] = []  # noqa: RUF012 (one for all requests)

    def do_HEAD(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        if "hangs" in self.path:
            self.ends.wait()
        status = next((each for each in (401, 403, 404, 500) if str(each) in self.path), 200)
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    _Server.asked.clear()
    _Server.ends.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{running.server_port}"
        monkeypatch.setattr(hub, "_SECONDS", 600.0)  # this machine may be busy
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "HF_DATASETS_CACHE"):
            monkeypatch.delenv(name, raising=False)
        yield address
        _Server.ends.set()
        running.shutdown()


def _recipe(model: str = MODEL) -> Recipe:
    return load(Path("execverify.yaml"), [f"model={model}"]).recipe


def _results(recipe: Recipe) -> list[tuple[str, str, str]]:
    return [(each.what, each.result, each.verdict) for each in Hub(recipe).findings()]


def test_names_on_the_hub_will_be_downloaded(server: str) -> None:
    assert _results(_recipe()) == [
        (f"model {MODEL}", "will be downloaded from the hub", "ok"),
        (f"data {DATA}", "will be downloaded from the hub", "ok"),
    ]
    assert sorted(_Server.asked) == [
        (f"/{MODEL}/resolve/main/config.json", None),
        (f"/datasets/{DATA}/resolve/main/.gitattributes", None),
    ]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("owner/404", "it does not exist (404)"),
        ("owner/401", "it does not exist, or needs a login (HF_TOKEN)"),
        ("owner/403", "access to it has not been granted"),
        ("owner/500", "status 500"),
    ],
)
def test_unavailable_names_are_reported(server: str, name: str, problem: str) -> None:
    assert _results(_recipe(name))[0] == (f"model {name}", f"not in the hub's cache, and {server}: {problem}", "wrong")


def test_a_hub_that_does_not_answer_is_not_waited_for(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_SECONDS", 0.5)
    what, result, verdict = _results(_recipe("owner/hangs"))[0]
    assert (what, verdict) == ("model owner/hangs", "wrong")
    assert "timed out" in result or "no answer" in result


def test_an_unreachable_hub_is_reported(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached: " in _results(_recipe())[0][1]


def test_the_token_is_sent(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("stored\n")
    _results(_recipe())
    monkeypatch.setenv("HF_TOKEN", "variable")
    _results(_recipe())
    assert {token for _, token in _Server.asked} == {"Bearer stored", "Bearer variable"}


def test_offline_mode_sends_no_requests(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert [verdict for _, _, verdict in _results(_recipe())] == ["wrong", "wrong"]
    assert _Server.asked == []


def test_cached_names_send_no_requests(server: str, tmp_path: Path) -> None:
    cache = tmp_path / "hf" / "hub"
    folder = cache / f"models--{MODEL.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / "config.json").write_text("{}")
    assert not is_cached("models", MODEL)  # its weights are missing
    (folder / "snapshots" / "abc" / "model.safetensors").write_text("")
    (cache / f"datasets--{DATA.replace('/', '--')}" / "snapshots" / "abc").mkdir(parents=True)
    (cache / f"datasets--{DATA.replace('/', '--')}" / "snapshots" / "abc" / "data.parquet").write_text("")
    assert [result for _, result, _ in _results(_recipe())] == ["in the hub's cache"] * 2
    assert _Server.asked == []


def test_local_folders_send_no_requests(server: str) -> None:
    assert _results(load(Path("smoke.yaml"), []).recipe) == []
