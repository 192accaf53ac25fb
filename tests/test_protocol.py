"""What anybody may send to a port: offers of other protocols, heads without an end, and nothing at all."""

import json
import socket
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from chalicelib import page
from local import server
from tests.raw import connection, head, raw_answer, read_response
from tests.serving import MIB, Served, assert_problem, memory, serving_process, serving_site, upload_of

PATIENCE_SECONDS = 1


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_site(tmp_path_factory.mktemp("site")) as served:
        yield served


@pytest.fixture
def hurried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that has little patience."""
    monkeypatch.setattr(server, "KEEP_ALIVE_SECONDS", PATIENCE_SECONDS)
    with serving_site(tmp_path) as served:
        yield served


@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.0"])
def test_an_offer_of_another_protocol_is_ignored(served: Served, offer: str) -> None:
    body = b'{"files": [{"path": "a.mp4", "size": 5}]}'
    token = f"Authorization: {served.ann.headers['authorization']}"
    offering = (token, "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {offer}", "HTTP2-Settings: AAMAAABk")
    with connection(served.url) as raw:
        raw.sendall(head("POST", f"{served.url}/jobs", *offering, f"Content-Length: {len(body)}"))
        time.sleep(0.1)
        raw.sendall(body)
        response = read_response(raw)
        assert response.status_code == HTTPStatus.CREATED
        raw.sendall(head("GET", f"{served.url}/jobs", *offering))
        assert json.loads(read_response(raw).content)["jobs"][0]["id"] == response.json()["id"]


def test_the_body_of_an_offer_is_no_request(served: Served) -> None:
    job = served.job(60)
    put = head("PUT", upload_of(job), "Connection: Upgrade", "Upgrade: h2c", "Content-Length: 60")
    smuggled = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n".ljust(60)
    with connection(served.url) as raw:
        raw.sendall(put + smuggled)
        assert read_response(raw).content == b""
        raw.sendall(head("GET", f"{served.url}/nothing"))
        assert read_response(raw).status_code == HTTPStatus.NOT_FOUND
    assert served.site.objects.get(f"uploads/{job['id']}/week1/0.mp4") == smuggled


@pytest.mark.parametrize("start", [b"GET /health HTTP/1.1\r\nHost: a\r\n", b"GET /", b""])
def test_a_head_without_end_is_refused(tmp_path: Path, start: bytes) -> None:
    with serving_process(tmp_path) as (process, url), connection(url) as raw:
        before = memory(process.pid, "VmRSS")
        with pytest.raises(ConnectionError):
            raw.sendall(start + b"".join(b"X-%06d: %s\r\n" % (n, b"a" * 8000) for n in range(10_000)))
        assert memory(process.pid, "VmHWM") < before + 10 * MIB


def test_a_head_that_is_too_long_is_told(served: Served) -> None:
    with connection(served.url) as raw:
        raw.sendall(head("GET", f"{served.url}/health", "X: " + "a" * 60_000))
        assert read_response(raw).status_code == HTTPStatus.OK
        raw.sendall(b"GET /health HTTP/1.1\r\nX: " + b"a" * (server.MAX_HEAD_BYTES - 20))
        assert_problem(read_response(raw), 431)
        assert raw.recv(1) == b""


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /health HTTP/1.1\r\nHost: a\r\nX-"])
def test_a_head_that_does_not_come_is_not_waited_for(hurried: Served, sent: bytes) -> None:
    with connection(hurried.url) as raw:
        assert 0.9 < trickle(raw, sent) < 2
    with connection(hurried.url) as kept:
        for _ in range(3):
            time.sleep(0.6)
            kept.sendall(head("GET", f"{hurried.url}/health"))
            assert read_response(kept).status_code == HTTPStatus.OK
        assert 0.9 < trickle(kept, sent) < 2


def test_a_body_may_take_its_time(hurried: Served) -> None:
    job = hurried.job(20)
    with connection(hurried.url) as raw:
        raw.sendall(head("PUT", upload_of(job), "Content-Length: 20"))
        for _ in range(20):
            time.sleep(0.1)
            raw.sendall(b"x")
        assert read_response(raw).status_code == HTTPStatus.OK
    assert hurried.site.objects.get(f"uploads/{job['id']}/week1/0.mp4") == b"x" * 20


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"POST /jobs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"GET http://[/x HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    ],
)
def test_what_is_no_request_is_told_in_the_one_shape(served: Served, sent: bytes, status: int) -> None:
    assert_problem(raw_answer(served.url, sent), status)


def test_a_body_that_is_damaged_is_told(served: Served) -> None:
    token = f"Authorization: {served.ann.headers['authorization']}"
    chunked = head("POST", f"{served.url}/jobs", token, "Transfer-Encoding: chunked")
    assert_problem(raw_answer(served.url, chunked + b"nonsense\r\n"), 400, "does not understand this as HTTP")


@pytest.mark.parametrize("path", ["/health", "/health?a=http://b/"])
def test_a_request_may_name_the_whole_url(served: Served, path: str) -> None:
    request = f"GET http://a.example{path} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode()
    assert raw_answer(served.url, request).json()["status"] == "ok"
    assert raw_answer(served.url, request.replace(path.encode(), b"")).text == page.index().body


def trickle(raw: socket.socket, sent: bytes) -> float:
    """After how long the server closes a connection on which it gets a head byte by byte, or nothing."""
    start = time.monotonic()
    raw.sendall(sent)
    raw.settimeout(0.1)
    while time.monotonic() < start + 5:
        try:
            received = raw.recv(1)
        except TimeoutError:
            raw.sendall(b"a" * bool(sent))
        except ConnectionResetError:
            break
        else:
            assert received == b""
            break
    return time.monotonic() - start
