"""A SandboxFusion service over HTTP: one pool of connections, tries again after transport faults, errors in one line."""

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
_BUSY = (429, 502, 503, 504)
_LONGEST_WAIT = 30.0
_LONGEST_ANSWER = 64 << 20
"""Two streams and a fetched file are at most a few MiB; a hostile program may make the file long."""
# uvicorn, which serves SandboxFusion, closes a connection that was idle for 5 s.
_IDLE_SECONDS = 4.0


class FusionService:
    """The service's address and the connections to it. Used from one event loop; opened when first used.

    Args:
        url: `http://host:port`; a path of the service behind it, such as `/run_code`, is left off.
        concurrency: requests at one time, and connections.
        attempts: how often a request is sent before giving up.
        backoff: seconds before the second attempt; twice as long before each one after that; up to half more by chance.
        patience: seconds that the service may take beyond the program's own time.

    Raises:
        SandboxError: the url is none.
    """

    def __init__(self, url: str, concurrency: int, attempts: int, backoff: float, patience: float) -> None:
        self.url = _read_url(url)
        self._places = asyncio.Semaphore(concurrency)
        self._concurrency, self._attempts, self._backoff, self._patience = concurrency, attempts, backoff, patience
        self._client: httpx.AsyncClient | None = None

    async def post(self, path: str, request: Mapping[str, Any], seconds: float, read: Callable[[Any], T]) -> T:
        """Posts a request and reads its answer.

        Args:
            path: `/run_code`.
            request: the body.
            seconds: what the program may take.
            read: turns an answer into a result; raises ServiceFault where it is worth another attempt, and
                SandboxError where it is not.

        Raises:
            SandboxError: the service is not there, or hangs, or is another one, or failed `attempts` times.
        """
        content = json.dumps(request).encode()
        async with self._places:
            for attempt in range(1, self._attempts + 1):
                try:
                    return read(await self._post_once(path, content, seconds))
                except ServiceFault as fault:
                    if attempt == self._attempts:
                        tries = "1 try" if attempt == 1 else f"{attempt} tries"
                        raise SandboxError(f"SandboxFusion at {self.url}: {fault} ({tries})") from None
                    wait = min(self._backoff * 2 ** (attempt - 1), _LONGEST_WAIT) * random.uniform(1, 1.5)
                    _log.warning("SandboxFusion at %s: %s; trying again in %.1f s", self.url, fault, wait)
                except SandboxError as error:
                    raise SandboxError(f"SandboxFusion at {self.url}: {error}") from None
                await asyncio.sleep(wait)
        raise AssertionError

    async def close(self) -> None:
        """Closes its connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _post_once(self, path: str, content: bytes, seconds: float) -> Any:
        try:
            import httpx
        except ImportError:
            raise SandboxError("httpx is not installed in this environment: pip install httpx") from None
        client = self._open()
        try:
            async with asyncio.timeout(seconds + self._patience):
                async with client.stream("POST", self.url + path, content=content) as response:
                    body = await _read_body(response)
        except TimeoutError:
            raise SandboxError(
                f"no answer within {seconds + self._patience:g} s, {self._patience:g} s more than the program may take; "
                "the service hangs or has too much to do"
            ) from None
        except (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError) as error:
            reason = _find_reason(error)
            if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                reason = f"cannot connect: {reason}; is the service running, and is the address right?"
            raise ServiceFault(reason) from None
        except httpx.HTTPError as error:
            raise SandboxError(_find_reason(error)) from None
        return _read_answer(path, response.status_code, response.headers.get("content-type", "no type"), body)

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            self._client = httpx.AsyncClient(
                headers={"content-type": "application/json"},
                limits=httpx.Limits(
                    max_connections=self._concurrency,
                    max_keepalive_connections=self._concurrency,
                    keepalive_expiry=_IDLE_SECONDS,
                ),
                timeout=httpx.Timeout(None, connect=10.0),
                # A proxy of the environment is for elsewhere.
                trust_env=urlsplit(self.url).hostname not in ("localhost", "127.0.0.1", "::1"),
            )
        return self._client


def _read_url(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SandboxError(f"the sandbox's url is {url!r}, expected one such as http://host:8080")
    return url.strip().rstrip("/").removesuffix("/run_code").rstrip("/")


async def _read_body(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _LONGEST_ANSWER:
            raise SandboxError(f"its answer is longer than {_LONGEST_ANSWER >> 20} MiB")
    return bytes(body)


def _read_answer(path: str, status: int, kind: str, body: bytes) -> Any:
    text = " ".join(body[:500].decode("utf-8", errors="replace").split())
    shown = text if len(text) <= 120 else f"{text[:120]}…"
    if status in _BUSY:
        raise ServiceFault(f"HTTP {status} {shown}".rstrip())
    if status in (404, 405):
        raise SandboxError(f"HTTP {status} to POST {path}; it is another service, or its address has a path too many")
    if status != 200:
        raise SandboxError(f"HTTP {status} {shown}".rstrip())
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise SandboxError(f"POST {path} is answered with {kind}, not a JSON object; is it another service? {shown}".rstrip())
    return answer


def _find_reason(error: BaseException) -> str:
    """What the system said, deepest below what the libraries made of it."""
    found, seen = error, error
    while (below := seen.__cause__ or seen.__context__) is not None:
        seen = below
        if isinstance(seen, BaseExceptionGroup):
            seen = seen.exceptions[0]
        if isinstance(seen, OSError):
            found = seen
    if isinstance(found, OSError) and found.errno:
        return os.strerror(found.errno) if found.errno > 0 else str(found.strerror)
    return str(found).rstrip(".") or type(found).__name__
