"""A SandboxFusion service over HTTP: one connection pool, retries after transport faults, one-line errors."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from rewards.sandbox.base import SandboxError
from rewards.sandbox.fusion.messages import ServiceFault

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
_log = logging.getLogger(__name__)
_PATH = "/run_code"
_BUSY = (429, 502, 503, 504)
_MAX_WAIT = 30.0
_MAX_ANSWER = 64 << 20
"""Two streams and a fetched file are at most a few MiB, but a hostile program may make the file longer."""
_IDLE_SECONDS = 4.0
"""uvicorn, which serves SandboxFusion, closes a connection after 5 idle seconds."""


class FusionService:
    """A service and its connections, for use from one event loop; connects on first use. Arguments as for FusionSandbox."""

    def __init__(self, url: str, concurrency: int, attempts: int, backoff: float, patience: float) -> None:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SandboxError(f"the sandbox URL is {url!r}, expected for example http://host:8080")
        self.url = url.strip().rstrip("/").removesuffix(_PATH).rstrip("/")
        self._slots = asyncio.Semaphore(concurrency)
        self._concurrency, self._attempts, self._backoff, self._patience = concurrency, attempts, backoff, patience
        self._client: httpx.AsyncClient | None = None

    async def run_code(self, request: Mapping[str, Any], seconds: float, read: Callable[[Any], T]) -> T:
        """Post a request, and return its answer as converted by `read`, which may raise ServiceFault for a retry.

        Raises:
            SandboxError: the service is not reachable, hangs, is not SandboxFusion, or failed `attempts` times.
        """
        content = json.dumps(request).encode()
        async with self._slots:
            for attempt in range(1, self._attempts + 1):
                try:
                    return read(await self._post(content, seconds))
                except ServiceFault as fault:
                    if attempt == self._attempts:
                        tries = "1 try" if attempt == 1 else f"{attempt} tries"
                        raise SandboxError(f"SandboxFusion at {self.url}: {fault} ({tries})") from None
                    wait = min(self._backoff * 2 ** (attempt - 1), _MAX_WAIT) * random.uniform(1, 1.5)
                    _log.warning("SandboxFusion at %s: %s; retrying in %.1f s", self.url, fault, wait)
                except SandboxError as error:
                    raise SandboxError(f"SandboxFusion at {self.url}: {error}") from None
                await asyncio.sleep(wait)
        raise AssertionError

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _post(self, content: bytes, seconds: float) -> dict[str, Any]:
        try:
            import httpx
        except ImportError:
            raise SandboxError("httpx is not installed in this environment: pip install httpx") from None
        if self._client is None:
            count = self._concurrency
            self._client = httpx.AsyncClient(
                headers={"content-type": "application/json"},
                limits=httpx.Limits(max_connections=count, max_keepalive_connections=count, keepalive_expiry=_IDLE_SECONDS),
                timeout=httpx.Timeout(None, connect=10.0),
                # A proxy in the environment is not for this machine.
                trust_env=urlsplit(self.url).hostname not in ("localhost", "127.0.0.1", "::1"),
            )
        try:
            async with asyncio.timeout(seconds + self._patience):
                async with self._client.stream("POST", self.url + _PATH, content=content) as response:
                    body = bytearray()
                    async for chunk in response.aiter_bytes():
                        body += chunk
                        if len(body) > _MAX_ANSWER:
                            raise SandboxError(f"the answer is longer than {_MAX_ANSWER >> 20} MiB")
        except TimeoutError:
            raise SandboxError(
                f"no answer within {seconds + self._patience:g} s ({self._patience:g} s more than the program's wall time); "
                "the service hangs or is overloaded"
            ) from None
        except (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError) as error:
            reason = _find_reason(error)
            if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                reason = f"cannot connect: {reason}; is the service running, and is the URL right?"
            raise ServiceFault(reason) from None
        except httpx.HTTPError as error:
            raise SandboxError(_find_reason(error)) from None
        return _read_answer(response.status_code, response.headers.get("content-type", "no type"), bytes(body))


def _read_answer(status: int, kind: str, body: bytes) -> dict[str, Any]:
    text = " ".join(body[:500].decode("utf-8", errors="replace").split())
    shown = text if len(text) <= 120 else f"{text[:120]}…"
    if status in _BUSY:
        raise ServiceFault(f"HTTP {status} {shown}".rstrip())
    if status in (404, 405):
        raise SandboxError(f"HTTP {status} for POST {_PATH}; this is not SandboxFusion, or the URL has an extra path")
    if status != 200:
        raise SandboxError(f"HTTP {status} {shown}".rstrip())
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise SandboxError(f"POST {_PATH} returned {kind}, not a JSON object; is this SandboxFusion? {shown}".rstrip())
    return answer


def _find_reason(error: BaseException) -> str:
    """Return the system's own message, from the innermost OSError behind the libraries' exceptions."""
    found, seen = error, error
    while (below := seen.__cause__ or seen.__context__) is not None:
        seen = below.exceptions[0] if isinstance(below, BaseExceptionGroup) else below
        if isinstance(seen, OSError):
            found = seen
    if isinstance(found, OSError) and found.errno:
        return os.strerror(found.errno) if found.errno > 0 else str(found.strerror)
    return str(found).rstrip(".") or type(found).__name__
