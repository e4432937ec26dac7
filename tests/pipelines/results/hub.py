"""A stand-in of the Hugging Face hub on loopback: what an upload asks of it, as huggingface_hub 1.33 does."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH"
"""The token that it accepts."""

FORBIDDEN = "others"
"""An owner for whom the token may not write."""


@dataclass
class Repository:
    """A model on the hub."""

    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """What was uploaded."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    """Large files by their sha256."""
    requests: list[str] = field(default_factory=list)


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Serve a hub."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        self.hub.requests.append(f"{method} {path}")
        if method == "PUT":
            self.hub.stored[path.rpartition("/")[2]] = body
            self._send(200, {})
        elif path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"error": "Invalid credentials in Authorization header"})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        else:
            self._answer_about_model(path.removeprefix("/api/models/"), body)

    def _create(self, given: dict[str, Any]) -> None:
        name = f"{given['organization']}/{given['name']}"
        url = f"{self.hub.endpoint}/{name}"
        if given["organization"] == FORBIDDEN:
            self._send(403, {"error": "You don't have the rights to create a model under this namespace"})
        elif name in self.hub.repositories:
            self._send(409, {"error": "You already created this model repo", "url": url})
        else:
            self.hub.repositories[name] = Repository(private=given.get("visibility") == "private")
            self._send(200, {"url": url, "name": name})

    def _batch(self, given: dict[str, Any]) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.hub.endpoint}/stored/{each['oid']}"}}} for each in given["objects"]
        ]
        self._send(200, {"transfer": "basic", "objects": objects})

    def _answer_about_model(self, path: str, body: bytes) -> None:
        owner, name, *rest = path.split("/")
        repository = self.hub.repositories.get(f"{owner}/{name}")
        if repository is None:
            self._send(404, {"error": "Repository not found"})
        elif not rest:
            self._send(200, {"id": f"{owner}/{name}", "private": repository.private, "siblings": [], "tags": []})
        elif rest[0] == "preupload":
            files = [
                {"path": each["path"], "uploadMode": "lfs" if each["path"].endswith(".safetensors") else "regular"}
                for each in json.loads(body)["files"]
            ]
            self._send(200, {"files": [{**each, "shouldIgnore": False} for each in files]})
        elif rest[0] == "commit":
            self._commit(repository, body)
            self._send(200, {"commitUrl": f"{self.hub.endpoint}/{owner}/{name}/commit/{'0' * 40}", "commitOid": "0" * 40})
        else:
            self._send(404, {"error": f"unexpected {path}"})

    def _commit(self, repository: Repository, body: bytes) -> None:
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                repository.messages.append(value["summary"])
            elif item["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.stored[value["oid"]]

    def _send(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
