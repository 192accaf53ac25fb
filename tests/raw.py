"""HTTP as bytes on a connection, for what no client would send."""

import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest


@contextlib.contextmanager
def connection(url: str) -> Iterator[socket.socket]:
    address = urlsplit(url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80), timeout=30) as raw:
        yield raw


def head(method: str, url: str, *headers: str) -> bytes:
    """The head of an HTTP request, its target as it stands in `url`."""
    address = urlsplit(url)
    target = url.removeprefix(f"{address.scheme}://{address.netloc}")
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {address.netloc}", *headers, "", ""]).encode()


def raw_answer(url: str, request: bytes) -> httpx.Response:
    """The answer to bytes as they are, which need not be what a client would send."""
    with connection(url) as raw:
        raw.sendall(request)
        return read_response(raw)


def read_response(raw: socket.socket) -> httpx.Response:
    received = b""
    while b"\r\n\r\n" not in received:
        received += raw.recv(65536) or pytest.fail(f"closed after {received!r}")
    top, _, body = received.partition(b"\r\n\r\n")
    status, *lines = top.decode("latin-1").split("\r\n")
    headers = httpx.Headers([(name, value) for name, _, value in (line.partition(": ") for line in lines)])
    while len(body) < int(headers.get("content-length", 0)):
        body += raw.recv(65536) or pytest.fail("closed within the body")
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)
