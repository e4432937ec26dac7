"""A SandboxFusion service over HTTP: one connection pool, retries after transport faults, one-line errors."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import random
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from rewards.sandbox.base import SandboxError, SandboxUnavailableError
from rewards.sandbox.fusion.breaker import Breaker
from rewards.sandbox.fusion.messages import NoAnswerFault, OverlongAnswerError, ServiceFault

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
_log = logging.getLogger(__name__)
_PATH = "/run_code"
_TOO_MANY = 429
_BUSY = (_TOO_MANY, 502, 503, 504)
_ANSWER = re.compile(rb'\{"status": ?"(Success|Failed)", ?"message": ?"')
_MAX_WAIT = 30.0
_MAX_ANSWER = 48 << 20
"""Bytes of any answer: the output of the longest values in base64."""
_RESTART_ATTEMPTS = 3
"""Further attempts if a service that has answered before is not reachable: a restart takes a minute."""
_IDLE_SECONDS = 4.0
"""uvicorn, which serves SandboxFusion, closes a connection after 5 idle seconds."""


class _UnreachableFault(NoAnswerFault):
    """No connection, or a gateway that found no service behind it: the program has not run."""


class _HangError(SandboxError):
    """The service took the program, and does not answer."""


class FusionService:
    """A service and its connections, for use from one event loop; connects on first use. Arguments as for FusionSandbox."""

    def __init__(self, url: str, concurrency: int, attempts: int, backoff: float, patience: float) -> None:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SandboxError(f"the sandbox URL is {url!r}, expected for example http://host:8080")
        self.url = url.strip().rstrip("/").removesuffix(_PATH).rstrip("/")
        self._slots = asyncio.Semaphore(concurrency)
        self._concurrency, self._attempts, self._backoff, self._patience = concurrency, attempts, backoff, patience
        self._breaker = Breaker(backoff * 2**attempts)
        self._client: httpx.AsyncClient | None = None

    async def run_code(self, request: Mapping[str, Any], seconds: float, longest: int, read: Callable[[Any], T]) -> T:
        """Post a request, and return its answer as converted by `read`, which may raise ServiceFault for a retry.

        Args:
            request: the body.
            seconds: wall time of the program.
            longest: bytes of an answer about a program that keeps its limits.
            read: converts an answer.

        Raises:
            SandboxError: the service is not reachable, hangs, is not SandboxFusion, or failed `attempts` times.
            SandboxUnavailableError: the service did not answer earlier programs; this one was not sent.
            OverlongAnswerError: the program made the answer longer.
        """
        content = json.dumps(request).encode()
        begun = time.monotonic()
        for attempt in itertools.count(1):
            try:
                # Not while it waits for the next attempt: one faulty program must not delay the others.
                async with self._slots:
                    with self._breaker.admit():
                        answer = await self._post(content, seconds, min(longest, _MAX_ANSWER))
                        self._breaker.note_answer()
                return read(answer)
            except ServiceFault as fault:
                if attempt >= self._attempts + self._count_more(fault):
                    if isinstance(fault, NoAnswerFault):
                        self._breaker.note_silence(begun, str(fault))
                    tries = "1 try" if attempt == 1 else f"{attempt} tries"
                    raise SandboxError(f"SandboxFusion at {self.url}: {fault} ({tries})") from None
                wait = min(self._backoff * 2 ** (attempt - 1), _MAX_WAIT) * random.uniform(1, 1.5)
                _log.warning("SandboxFusion at %s: %s; retrying in %.1f s", self.url, fault, wait)
            except SandboxError as error:
                if isinstance(error, _HangError):
                    self._breaker.note_silence(begun, str(error))
                kind = SandboxUnavailableError if isinstance(error, SandboxUnavailableError) else SandboxError
                raise kind(f"SandboxFusion at {self.url}: {error}") from None
            await asyncio.sleep(wait)
        raise AssertionError

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _count_more(self, fault: ServiceFault) -> int:
        return _RESTART_ATTEMPTS if isinstance(fault, _UnreachableFault) and self._breaker.has_answered else 0

    async def _post(self, content: bytes, seconds: float, longest: int) -> dict[str, Any]:
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
                        if len(body) > longest:
                            # The program determines the length of its answer, but not its beginning.
                            if _ANSWER.match(body):
                                self._breaker.note_answer()
                                raise OverlongAnswerError
                            raise SandboxError(f"the answer is longer than {longest >> 20} MiB")
        except TimeoutError:
            raise _HangError(
                f"no answer within {seconds + self._patience:g} s ({self._patience:g} s more than the program's wall time); "
                "the service hangs or is overloaded"
            ) from None
        except (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError) as error:
            reason = _find_reason(error)
            if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                reason = f"cannot connect: {reason}; is the service running, and is the URL right?"
                raise _UnreachableFault(reason) from None
            raise NoAnswerFault(reason) from None
        except httpx.HTTPError as error:
            raise SandboxError(_find_reason(error)) from None
        return _read_answer(response.status_code, response.headers.get("content-type", "no type"), bytes(body))


def _read_answer(status: int, kind: str, body: bytes) -> dict[str, Any]:
    text = " ".join(body[:500].decode("utf-8", errors="replace").split())
    shown = text if len(text) <= 120 else f"{text[:120]}…"
    if status in _BUSY:
        raise (ServiceFault if status == _TOO_MANY else _UnreachableFault)(f"HTTP {status} {shown}".rstrip())
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
