"""HTTP calls: bounded answers, to the configured address and nowhere else."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from inspector_plugin import __version__
from inspector_plugin.errors import OptionError
from inspector_plugin.judges.prompt.keys import Key
from inspector_plugin.judges.prompt.untrusted import MAX_BYTES

try:
    import aiohttp
except ImportError as missing:
    raise OptionError(
        "Judging through an endpoint needs the aiohttp package: "
        'pip install "inspector_plugin[openai]"'
    ) from missing

_DECODED = ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = 47  # of zlib's window bits


class BodyFault(Exception):
    """Why a body is not read, in a few words."""


@dataclass(frozen=True)
class HttpAnswer:
    """An answer of any status.

    Attributes:
        status: The status.
        headers: The headers; names in any case.
        body: The body, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Posts to one address; nothing is followed to another, and no credentials but the key go."""

    def __init__(self, base_url: str, key: Key | None) -> None:
        """Take the address and the key; connections are opened when they are needed."""
        self._url = f"{base_url}/chat/completions"
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Content-Type": "application/json",
            "User-Agent": f"inspector_plugin/{__version__}",
        }
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key.value}"
        self._proxy = _proxy(base_url)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: Mapping[str, Any]) -> HttpAnswer:
        """Post JSON, and read the answer; the caller limits the time.

        Raises:
            BodyFault: If the body is longer than `MAX_BYTES`, or compressed in an unknown way.
            Exception: Whatever the HTTP stack raises.
        """
        async with self._opened().post(
            self._url, data=json.dumps(body).encode(), proxy=self._proxy, allow_redirects=False
        ) as answer:
            return HttpAnswer(answer.status, answer.headers, await _read(answer))

    async def close(self) -> None:
        """Close the connections. Closing twice is allowed."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session, made when it is first needed, inside the event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # How many calls there are at once is for `Pace` to say.
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                headers=self._headers,
                # The library would decompress without bound, and take passwords out of ~/.netrc.
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in (*_DECODED, "identity", ""):
        raise BodyFault("the answer is compressed in a way that was not asked for")
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding in _DECODED else None
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk if decoder is None else decoder.decompress(chunk, MAX_BYTES + 1 - len(body))
        if len(body) > MAX_BYTES:
            raise BodyFault(f"the answer is longer than {MAX_BYTES >> 20} MiB")
    return bytes(body)


def _proxy(base_url: str) -> str | None:
    """Find the proxy that the environment names for an address."""
    parts = urlsplit(base_url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None or proxy_bypass(parts.netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise OptionError(
            "Only http(s) proxies can be used: change HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, or "
            "name the endpoint's host in NO_PROXY."
        )
    return proxy
