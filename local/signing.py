"""Signed, expiring URLs of objects: what S3 calls presigned."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, urlencode

from chalicelib.errors import Problem
from chalicelib.parts import Span

base_url: ContextVar[str] = ContextVar("base_url")
"""Scheme and authority by which the caller of the current request reached the server, such as `http://host:8000`."""

PATH = "/objects/"
FRESH_UPLOAD = "Ask for a fresh URL with POST /jobs/<id>/files/<n>/upload."
FRESH_PART = "Ask for a fresh URL with POST /jobs/<id>/files/<n>/parts."
FRESH_DOWNLOAD = "Ask for a fresh URL with GET /jobs/<id>/files/<n>/transcript?format=<format>."


@dataclass(frozen=True)
class Signer:
    """Signs what a URL permits with HMAC-SHA256 under `secret`. Times are seconds since 1970."""

    secret: bytes

    def put_url(self, key: str, size: int, expires: int) -> str:
        """The URL for storing exactly `size` bytes under `key`. LookupError outside a request."""
        query = {"size": str(size), "expires": str(expires)}
        return _url(key, {**query, "signature": self._signature("PUT", key, query)})

    def part_url(self, key: str, upload: str, span: Span, crc32: str, expires: int) -> str:
        """The URL for storing part `span` of an upload, whose bytes have `crc32`. LookupError outside a request."""
        numbers = {"part": span.number, "offset": span.offset, "size": span.size, "expires": expires}
        query = {"upload": upload, "crc32": crc32, **{name: str(number) for name, number in numbers.items()}}
        return _url(key, {**query, "signature": self._signature("PUT", key, query)})

    def get_url(self, key: str, filename: str, expires: int) -> str:
        """The URL for reading `key` as a download called `filename`. LookupError outside a request."""
        query = {"filename": filename, "expires": str(expires)}
        return _url(key, {**query, "signature": self._signature("GET", key, query)})

    def put_size(self, key: str, query: Mapping[str, str], now: float) -> int:
        """How many bytes the URL permits to store under `key`. Raises the Problem to answer with if none."""
        self._check("PUT", key, query, ("size", "expires"), now, FRESH_UPLOAD)
        return int(query["size"])

    def part(self, key: str, query: Mapping[str, str], now: float) -> tuple[str, Span, str]:
        """The upload, span and CRC-32 of the part that the URL permits to store. Raises the Problem to answer with."""
        self._check("PUT", key, query, ("upload", "part", "offset", "size", "crc32", "expires"), now, FRESH_PART)
        span = Span(int(query["part"]), int(query["offset"]), int(query["size"]))
        return query["upload"], span, query["crc32"]

    def get_filename(self, key: str, query: Mapping[str, str], now: float) -> str:
        """The name that the URL gives to the download of `key`. Raises the Problem to answer with if it gives none."""
        self._check("GET", key, query, ("filename", "expires"), now, FRESH_DOWNLOAD)
        return query["filename"]

    def _check(
        self, method: str, key: str, query: Mapping[str, str], names: tuple[str, ...], now: float, advice: str
    ) -> None:
        signed = {name: query.get(name, "") for name in names}
        expected = self._signature(method, key, signed)
        if not hmac.compare_digest(expected.encode(), query.get("signature", "").encode()):
            raise Problem(HTTPStatus.FORBIDDEN, f"The URL is not one that this server signed for {method}. {advice}")
        if now >= int(signed["expires"]):
            raise Problem(HTTPStatus.FORBIDDEN, f"The URL has expired. {advice}")

    def _signature(self, method: str, key: str, query: Mapping[str, str]) -> str:
        message = json.dumps([method, key, query], sort_keys=True).encode()
        return hmac.new(self.secret, message, hashlib.sha256).hexdigest()


def _url(key: str, query: Mapping[str, str]) -> str:
    return f"{base_url.get()}{PATH}{quote(key)}?{urlencode(query, quote_via=quote)}"
