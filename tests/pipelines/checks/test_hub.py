"""What is asked of the hub, which is a small server here, and what is known without it."""

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
    """Answers by what the path says; waits with the answer about what hangs."""

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
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "HF_DATASETS_CACHE"):
            monkeypatch.delenv(name, raising=False)
        yield address
        _Server.ends.set()
        running.shutdown()


def _recipe(model: str = MODEL) -> Recipe:
    return load(Path("execverify.yaml"), [f"model={model}"]).recipe


def _said(recipe: Recipe) -> list[tuple[str, str, str]]:
    return [(each.what, each.said, each.verdict) for each in Hub(recipe).findings()]


def test_what_the_hub_has_will_be_fetched(server: str) -> None:
    assert _said(_recipe()) == [
        (f"model {MODEL}", "will be fetched from the hub", "ok"),
        (f"data {DATA}", "will be fetched from the hub", "ok"),
    ]
    assert sorted(_Server.asked) == [
        (f"/{MODEL}/resolve/main/config.json", None),
        (f"/datasets/{DATA}/resolve/main/.gitattributes", None),
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("owner/404", "it does not exist (404)"),
        ("owner/401", "it does not exist, or not without a login (HF_TOKEN)"),
        ("owner/403", "access to it has not been granted"),
        ("owner/500", "status 500"),
    ],
)
def test_what_it_has_not_is_told(server: str, name: str, said: str) -> None:
    assert _said(_recipe(name))[0] == (f"model {name}", f"not in the hub's cache, and {server}: {said}", "wrong")


def test_a_hub_that_does_not_answer_is_not_waited_for(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_SECONDS", 0.5)
    what, said, verdict = _said(_recipe("owner/hangs"))[0]
    assert (what, verdict) == ("model owner/hangs", "wrong")
    assert "timed out" in said or "no answer" in said


def test_a_hub_that_is_not_there_is_told(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached: " in _said(_recipe())[0][1]


def test_a_token_is_shown(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("stored\n")
    _said(_recipe())
    monkeypatch.setenv("HF_TOKEN", "said")
    _said(_recipe())
    assert {token for _, token in _Server.asked} == {"Bearer stored", "Bearer said"}


def test_offline_nothing_is_asked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert [verdict for _, _, verdict in _said(_recipe())] == ["wrong", "wrong"]
    assert _Server.asked == []


def test_what_is_in_the_cache_is_not_asked_for(server: str, tmp_path: Path) -> None:
    cache = tmp_path / "hf" / "hub"
    folder = cache / f"models--{MODEL.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / "config.json").write_text("{}")
    assert not is_cached("models", MODEL)  # its weights are not there yet
    (folder / "snapshots" / "abc" / "model.safetensors").write_text("")
    (cache / f"datasets--{DATA.replace('/', '--')}" / "snapshots" / "abc").mkdir(parents=True)
    (cache / f"datasets--{DATA.replace('/', '--')}" / "snapshots" / "abc" / "data.parquet").write_text("")
    assert [said for _, said, _ in _said(_recipe())] == ["in the hub's cache"] * 2
    assert _Server.asked == []


def test_what_lies_in_a_folder_is_nothing_to_the_hub(server: str) -> None:
    assert _said(load(Path("smoke.yaml"), []).recipe) == []
