"""The server of one machine over real HTTP: the API's edge and signed transfers."""

import contextlib
import dataclasses
import re
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from chalicelib import keys, platform
from chalicelib.jobs import FileState, JobState
from local import signing, transfers
from tests.conftest import Figure
from tests.serving import Site, client, memory, serving, serving_process
from tests.test_objects import ODD_NAMES

MISSING = "01k0000000000000000000000a"
MIB = 2**20


@dataclass(frozen=True)
class Served:
    url: str
    site: Site
    ann: httpx.Client
    bob: httpx.Client

    def job(self, *sizes: int, paths: list[str] | None = None) -> dict[str, Any]:
        """A new job of Ann's as it was answered, with files of these sizes."""
        names = paths or [f"week1/{n}.mp4" for n in range(len(sizes))]
        files = [{"path": path, "size": size} for path, size in zip(names, sizes, strict=True)]
        response = self.ann.post("/jobs", json={"files": files})
        assert response.status_code == HTTPStatus.CREATED, response.text
        created: dict[str, Any] = response.json()
        return created

    def put_url(self, key: str, size: int, seconds: int = 60) -> str:
        return self._signed(lambda: self.site.objects.presign_put(key, size, seconds).url)

    def get_url(self, key: str, filename: str = "a.txt", seconds: int = 60) -> str:
        return self._signed(lambda: self.site.objects.presign_get(key, seconds, filename))

    def _signed(self, sign: Callable[[], str]) -> str:
        token = signing.base_url.set(self.url)
        try:
            return sign()
        finally:
            signing.base_url.reset(token)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    site = Site.at(tmp_path_factory.mktemp("site"))
    with (
        serving(site.app()) as url,
        client(url, site.token("ann")) as ann,
        client(url, site.token("bob")) as bob,
    ):
        yield Served(url, site, ann, bob)


def assert_problem(response: httpx.Response, status: int, *said: str) -> None:
    """That the answer is an error of the one shape, whose detail holds what is `said`."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail"}
    assert problem["type"] == "about:blank"
    assert problem["title"] == HTTPStatus(status).phrase
    assert problem["status"] == status
    for words in said:
        assert words in problem["detail"]
    assert not re.search(r"Traceback|sqlite|/tmp|\.py|[a-z]Error", response.text)


def upload_of(job: dict[str, Any], n: int = 0) -> str:
    url: str = job["files"][n]["upload"]["url"]
    return url


def key_of(job: dict[str, Any], n: int = 0) -> str:
    return keys.upload(job["id"], job["files"][n]["path"])


def file_state(served: Served, job: dict[str, Any], n: int = 0) -> FileState:
    file = served.site.records.file(job["id"], n)
    assert file is not None
    return file.state


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


def eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


# The edge of the API


def test_a_person_finds_a_friendly_word(served: Served) -> None:
    response = httpx.get(served.url)
    assert response.status_code == HTTPStatus.OK
    assert response.text.startswith("This is a transcription service.")


def test_health_needs_no_token(served: Served) -> None:
    response = httpx.get(f"{served.url}/health")
    assert response.status_code == HTTPStatus.OK
    assert response.json() == {"status": "ok", "version": "0.1.0", "models": ["base", "tiny.en"]}
    assert "server" not in response.headers


def test_a_job_is_created_and_read(served: Served) -> None:
    response = served.ann.post("/jobs", json={"files": [{"path": "a.mp4", "size": 5}]})
    assert response.status_code == HTTPStatus.CREATED
    assert response.headers["location"] == f"/jobs/{response.json()['id']}"
    read = served.ann.get(response.headers["location"]).json()
    assert read["files_by_state"] == {"awaiting_upload": 1}
    assert served.ann.get("/jobs", params={"limit": 1}).json()["jobs"][0]["id"] == read["id"]


TOKENS = [
    pytest.param({}, id="missing"),
    pytest.param({"Authorization": ""}, id="empty"),
    pytest.param({"Authorization": "Bearer"}, id="scheme alone"),
    pytest.param({"Authorization": "Bearer nonsense"}, id="malformed"),
    pytest.param({"Authorization": "Bearer 0123456789abcdef.wrong"}, id="unknown"),
    pytest.param({"Authorization": "Bearer \xe4\xf6\xfc.\xdf"}, id="not ASCII"),
    pytest.param({"Authorization": "Bearer " + "a" * 20_000 + ".b"}, id="long"),
]


@pytest.mark.parametrize("headers", TOKENS)
@pytest.mark.parametrize("path", ["/jobs", f"/jobs/{MISSING}", f"/jobs/{MISSING}/files/0/transcript?format=txt"])
def test_without_a_valid_token_nothing_is_told(served: Served, path: str, headers: dict[str, str]) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    response = httpx.get(f"{served.url}{path}", headers=encoded)
    assert_problem(response, 401, "Send a valid one as 'Authorization: Bearer <token>'")
    assert response.headers["www-authenticate"] == "Bearer"


def test_expired_wrong_and_foreign_secrets_are_no_tokens(served: Served) -> None:
    good, expired = served.site.token("ann", 60), served.site.token("ann", -1)
    id, _, secret = good.partition(".")
    for token, status in [
        (good, 200),
        (expired, 401),
        (f"{id}.{secret[:-1]}", 401),
        (f"{id}.{secret}x", 401),
        (f"{served.site.token('bob').partition('.')[0]}.{secret}", 401),
    ]:
        assert httpx.get(f"{served.url}/jobs", headers={"Authorization": f"Bearer {token}"}).status_code == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs/{id}"),
        ("GET", "/jobs/{id}/files"),
        ("POST", "/jobs/{id}/files/0/upload"),
        ("GET", "/jobs/{id}/files/0/transcript?format=txt"),
    ],
)
def test_the_job_of_another_is_like_none(served: Served, method: str, path: str) -> None:
    job = served.job(5)["id"]
    foreign = served.bob.request(method, path.format(id=job))
    missing = served.bob.request(method, path.format(id=MISSING))
    assert_problem(foreign, 404, "There is no such job.")
    assert foreign.content == missing.content
    assert {**foreign.headers, "date": ""} == {**missing.headers, "date": ""}
    assert [listed["id"] for listed in served.bob.get("/jobs").json()["jobs"]] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/jobs/x/y/z", 404),
        ("POST", "/", 405),
        ("DELETE", "/jobs", 405),
        ("PATCH", f"/jobs/{MISSING}", 405),
        ("PROPFIND", "/jobs", 405),
        ("TRACE", "/health", 405),
        ("DELETE", f"/objects/uploads/{MISSING}/a.mp4", 405),
        ("GET", f"/jobs/{MISSING}", 404),
        ("GET", "/jobs/%2e%2e", 404),
        ("GET", "/jobs/%00", 404),
        ("GET", "/jobs/%FF%FE", 404),
        ("GET", "/jobs?cursor=%00", 422),
        ("GET", "/jobs?limit=0", 422),
        ("GET", "/jobs?limit=%FF", 422),
        ("GET", "/jobs?limit=" + "9" * 5000, 422),
        ("GET", f"/jobs/{MISSING}/files?cursor=-1", 422),
        ("GET", "/objects", 404),
        ("GET", "/objects/", 403),
    ],
)
def test_errors_have_one_shape(served: Served, method: str, path: str, status: int) -> None:
    assert_problem(served.ann.request(method, path), status)


def test_a_wrong_method_is_told_the_right_ones(served: Served) -> None:
    assert set(served.ann.delete("/jobs").headers["allow"].split(", ")) == {"GET", "POST"}
    assert served.ann.delete("/objects/uploads/j/a").headers["allow"] == "GET, HEAD, PUT"


def test_paths_are_not_taken_for_host_names(served: Served) -> None:
    token = f"Authorization: {served.ann.headers['authorization']}"
    for target in ("//evil/jobs", "///jobs", "//"):
        assert_problem(raw_answer(served.url, head("GET", f"{served.url}{target}", token)), 404)


def test_head_and_options(served: Served) -> None:
    response = served.ann.head("/jobs")
    assert (response.status_code, response.content) == (200, b"")
    assert int(response.headers["content-length"]) > 0
    assert served.ann.options("/jobs").status_code == HTTPStatus.OK


def test_of_repeated_query_keys_one_counts(served: Served) -> None:
    response = served.ann.get("/jobs?limit=1&limit=2&limit=&limit=3")
    assert response.status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"\xff\xfe\x00", 400),
        (b'{"files": [{"path": "\xe9", "size": 1}]}', 400),
        (b'{"files": [{"path": "\\ud800", "size": 1}]}', 400),
        (b"{", 400),
        (b"", 422),
        (b"[]", 422),
        (b"null", 422),
        (b"[" * 100_000, 400),
        (b'{"files": []}', 422),
    ],
)
def test_bodies_that_are_no_job(served: Served, body: bytes, status: int) -> None:
    response = served.ann.post("/jobs", content=body, headers={"Content-Type": "application/json"})
    assert_problem(response, status)


def test_another_media_type_is_refused(served: Served) -> None:
    for type in ("text/plain", "application/octet-stream", "image/png"):
        response = served.ann.post("/jobs", content=b"{}", headers={"Content-Type": type})
        assert_problem(response, 415, "Send JSON")


def test_a_body_beyond_ten_megabytes_is_refused(served: Served) -> None:
    declared = served.ann.post("/jobs", content=b" " * 10_000_001)
    assert_problem(declared, 413, "must not be larger than 10000000 bytes")
    streamed = served.ann.post("/jobs", content=(b" " * MIB for _ in range(11)))
    assert_problem(streamed, 413, "must not be larger than 10000000 bytes")
    assert_problem(served.ann.post("/jobs", content=b" " * 10_000_000), 400)


def test_a_crash_leaks_nothing(served: Served) -> None:
    broken = dataclasses.replace(served.site.service, records=None)  # type: ignore[arg-type]
    platform.provide(broken)
    try:
        response = served.ann.get("/jobs")
        health = served.ann.get("/health")
    finally:
        platform.provide(served.site.service)
    assert_problem(response, 500, "Something went wrong on our side. Try again later.")
    assert health.status_code == HTTPStatus.OK
    assert served.ann.get("/jobs").status_code == HTTPStatus.OK


def test_requests_at_the_same_time_are_kept_apart(served: Served) -> None:
    own = served.job(5)["id"]

    def ask(n: int) -> bool:
        asked = (served.ann, served.bob)[n % 2]
        ids = [job["id"] for job in asked.get("/jobs", params={"limit": 1 + n % 7}).json()["jobs"]]
        return ids[:1] == [own] if asked is served.ann else ids == []

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(400)))


# Storing


def test_the_last_byte_of_the_last_file_starts_the_job(served: Served) -> None:
    job = served.job(5, 3 * MIB + 7)
    for n, content in enumerate((b"Hello", bytes(range(256)) * (3 * MIB // 256) + b"the end")):
        assert served.site.started.count(job["id"]) == 0
        assert httpx.put(upload_of(job, n), content=content).status_code == HTTPStatus.OK
        assert served.site.objects.get(key_of(job, n)) == content
    assert served.site.started.count(job["id"]) == 1
    state = served.ann.get(f"/jobs/{job['id']}").json()
    assert (state["state"], state["files_by_state"]) == ("queued", {"uploaded": 2})
    assert served.site.unfinished() == []


@pytest.mark.parametrize("path", ODD_NAMES)
def test_odd_names_survive_the_way_there_and_back(served: Served, path: str) -> None:
    if "\\" in path or path[1:2] == ":":
        pytest.skip("not a name that a job may have")
    job = served.job(len(path.encode()), paths=[path])
    assert job["files"][0]["path"] == path
    assert httpx.put(upload_of(job), content=path.encode()).status_code == HTTPStatus.OK
    assert served.site.objects.get(keys.upload(job["id"], path)) == path.encode()
    assert file_state(served, job) == FileState.UPLOADED

    name = f"{path.rpartition('/')[2]}.srt"
    served.site.objects.put(keys.transcript(job["id"], path, "srt"), path.encode())
    response = httpx.get(served.get_url(keys.transcript(job["id"], path, "srt"), name))
    assert response.content == path.encode()
    assert disposition_name(response) == name


def disposition_name(response: httpx.Response) -> str:
    """The file name of an RFC 6266 header."""
    header = response.headers["content-disposition"]
    encoded = re.fullmatch(r"attachment; filename\*=utf-8''(\S+)", header)
    plain = re.fullmatch(r'attachment; filename="([^"\\]+)"', header)
    if encoded:
        return unquote(encoded[1])
    assert plain, header
    return plain[1]


def test_an_empty_file_may_be_stored(served: Served) -> None:
    job = served.job(0)
    assert httpx.put(upload_of(job), content=b"").status_code == HTTPStatus.OK
    assert served.site.objects.size(key_of(job)) == 0
    assert served.site.records.job(job["id"]).state == JobState.QUEUED  # type: ignore[union-attr]


FRESH = "Ask for a fresh URL with POST /jobs/<id>/files/<n>/upload."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda url: url.partition("?")[0], "not one that this server signed", id="none"),
        pytest.param(lambda url: url.partition("&signature")[0], "not one that this server signed", id="no signature"),
        pytest.param(lambda url: url[:-1] + "g", "not one that this server signed", id="wrong signature"),
        pytest.param(lambda url: url + "%C3%A9", "not one that this server signed", id="signature not ASCII"),
        pytest.param(lambda url: url.replace("size=5", "size=6"), "not one that this server signed", id="size"),
        pytest.param(lambda url: url.replace("size=5", "size=5&size=6"), "not one that", id="second size"),
        pytest.param(lambda url: url.replace("size=5", "size=x"), "not one that this server signed", id="no number"),
        pytest.param(lambda url: url.replace("0.mp4", "1.mp4"), "not one that this server signed", id="key"),
        pytest.param(lambda url: url.replace("week1/", "week1%2F..%2F"), "not one that this server", id="key up"),
        pytest.param(lambda url: re.sub(r"expires=(\d+)", r"expires=9\1", url), "not one that", id="expiry"),
    ],
)
def test_a_changed_url_stores_nothing(served: Served, change: Callable[[str], str], said: str) -> None:
    job = served.job(5)
    assert_problem(httpx.put(change(upload_of(job)), content=b"Hello"), 403, said, FRESH)
    assert list(served.site.objects.keys(keys.upload(job["id"], ""))) == []
    assert file_state(served, job) == FileState.AWAITING_UPLOAD


def test_an_expired_url_stores_nothing_and_a_fresh_one_does(served: Served) -> None:
    job = served.job(5)
    expired = served.put_url(key_of(job), 5, -1)
    assert_problem(httpx.put(expired, content=b"Hello"), 403, "The URL has expired.", FRESH)
    assert served.site.objects.size(key_of(job)) is None
    fresh = served.ann.post(f"/jobs/{job['id']}/files/0/upload").json()
    assert fresh["headers"] == {"Content-Length": "5"}
    response = httpx.request(fresh["method"], fresh["url"], headers=fresh["headers"], content=b"Hello")
    assert response.status_code == HTTPStatus.OK
    assert_problem(served.ann.post(f"/jobs/{job['id']}/files/0/upload"), 409, "uploaded already")


def test_a_url_is_good_for_one_method(served: Served) -> None:
    job = served.job(5)
    assert_problem(httpx.get(upload_of(job)), 403)
    assert httpx.put(upload_of(job), content=b"Hello").status_code == HTTPStatus.OK
    assert_problem(httpx.get(upload_of(job)), 403, "GET /jobs/<id>/files/<n>/transcript")
    assert_problem(httpx.put(served.get_url(key_of(job)), content=b"Hello"), 403, FRESH)


@pytest.mark.parametrize("content", [b"Hell", b"Hello!", b""])
def test_another_size_than_declared_is_refused_before_reading(served: Served, content: bytes) -> None:
    job = served.job(5)
    response = httpx.put(upload_of(job), content=content)
    assert_problem(response, 400, f"{len(content)} bytes were sent where 5 were declared")
    assert served.site.objects.size(key_of(job)) is None
    assert httpx.put(upload_of(job), content=b"Hello").status_code == HTTPStatus.OK


def test_the_length_must_be_told(served: Served) -> None:
    job = served.job(5)
    response = httpx.put(upload_of(job), content=iter([b"Hello"]))
    assert_problem(response, 411, "Send the file with 'Content-Length: 5'.")
    assert served.site.objects.size(key_of(job)) is None


def test_bytes_beyond_the_length_are_not_the_file(served: Served) -> None:
    job = served.job(5)
    response = raw_answer(upload_of(job), head("PUT", upload_of(job), "Content-Length: 5") + b"Hello, and more")
    assert response.status_code == HTTPStatus.BAD_REQUEST  # what follows the five bytes is no request
    assert eventually(lambda: served.site.objects.size(key_of(job)) == 5)
    assert served.site.objects.get(key_of(job)) == b"Hello"


def test_chunks_cannot_smuggle_another_length(served: Served) -> None:
    job = served.job(5)
    headers = head("PUT", upload_of(job), "Content-Length: 5", "Transfer-Encoding: chunked")
    response = raw_answer(upload_of(job), headers + b"b\r\nHello there\r\n0\r\n\r\n")
    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert served.site.objects.size(key_of(job)) is None


@pytest.mark.parametrize("sent", [0, 5, 3 * MIB])
def test_a_cut_connection_leaves_nothing_behind(served: Served, sent: int) -> None:
    job = served.job(4 * MIB)
    with connection(upload_of(job)) as raw:
        raw.sendall(head("PUT", upload_of(job), f"Content-Length: {4 * MIB}") + b"x" * sent)
        assert eventually(lambda: served.site.unfinished() != [])
    assert eventually(lambda: served.site.unfinished() == [])
    assert served.site.objects.size(key_of(job)) is None
    assert file_state(served, job) == FileState.AWAITING_UPLOAD
    assert httpx.put(upload_of(job), content=b"x" * 4 * MIB).status_code == HTTPStatus.OK


def test_an_upload_that_stalls_is_given_up(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "PATIENCE_SECONDS", 0.2)
    job = served.job(5)
    response = raw_answer(upload_of(job), head("PUT", upload_of(job), "Content-Length: 5") + b"Hell")
    assert_problem(response, 408, "Send the file again.")
    assert served.site.unfinished() == []
    assert served.site.objects.size(key_of(job)) is None


def test_a_file_is_stored_once(served: Served) -> None:
    job = served.job(5)
    assert httpx.put(upload_of(job), content=b"first").status_code == HTTPStatus.OK
    assert_problem(httpx.put(upload_of(job), content=b"later"), 412, "This file has been uploaded already.")
    assert served.site.objects.get(key_of(job)) == b"first"
    assert served.ann.get(f"/jobs/{job['id']}").json()["files_by_state"] == {"uploaded": 1}


def test_of_uploads_at_the_same_time_one_is_stored(served: Served) -> None:
    size = 2 * MIB
    job = served.job(size)
    together = threading.Barrier(4)

    def put(n: int) -> int:
        together.wait()
        return httpx.put(upload_of(job), content=b"%d" % n * size).status_code

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(put, range(4))) == [200, 412, 412, 412]
    stored = served.site.objects.get(key_of(job))
    assert stored == stored[:1] * size
    assert served.site.unfinished() == []


def test_an_event_that_was_lost_comes_with_the_next_try(served: Served) -> None:
    job = served.job(5)
    served.site.objects.put(key_of(job), b"Hello")  # stored, and the server killed before it took note
    assert_problem(httpx.put(upload_of(job), content=b"Hello"), 412)
    assert file_state(served, job) == FileState.UPLOADED
    assert job["id"] in served.site.started


def test_events_may_come_twice_and_together(served: Served) -> None:
    job = served.job(*[5] * 10)
    for n in range(10):
        served.site.objects.put(key_of(job, n), b"Hello")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: served.site.service.object_created(key_of(job, n % 10), 5), range(40)))
    served.site.service.object_created(f"uploads/{MISSING}/a.mp4", 5)
    served.site.service.object_created(f"transcripts/{job['id']}/a.txt", 5)
    state = served.ann.get(f"/jobs/{job['id']}").json()
    assert (state["state"], state["files_by_state"]) == ("queued", {"uploaded": 10})


def test_a_full_disk_is_told_before_reading(served: Served) -> None:
    size = 10**15
    url = served.put_url(keys.upload(MISSING, "huge.mp4"), size)
    response = raw_answer(url, head("PUT", url, f"Content-Length: {size}"))
    assert_problem(response, 507, f"no room for these {size} bytes")
    assert served.site.unfinished() == []


def test_a_client_may_wait_to_be_asked_for_the_bytes(served: Served) -> None:
    job = served.job(5)
    for url, first in ((upload_of(job)[:-1] + "g", 403), (upload_of(job), 100)):
        with connection(url) as raw:
            raw.sendall(head("PUT", url, "Content-Length: 5", "Expect: 100-continue"))
            assert read_response(raw).status_code == first
            if first == HTTPStatus.CONTINUE:
                raw.sendall(b"Hello")
                assert read_response(raw).status_code == HTTPStatus.OK


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd",
        "uploads/../../../../etc/passwd",
        "%2e%2e/%2e%2e/records.sqlite",
        "..%2f..%2frecords.sqlite",
        "uploads/%00",
        "uploads/%0a",
        "%2fetc%2fpasswd",
        "%FF",
        "tmp/x",
    ],
)
def test_no_url_leads_out_of_the_folder(served: Served, method: str, path: str) -> None:
    url = f"{served.url}/objects/{path}?size=5&expires=99999999999&signature={'0' * 64}"
    response = raw_answer(url, head(method, url, "Content-Length: 5") + b"Hello")
    assert response.status_code in (403, 404)
    assert_problem(response, response.status_code)


def test_lines_that_are_not_http_are_refused(served: Served) -> None:
    for request in (b"nonsense\r\n\r\n", b"GET /jobs\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"OPTIONS * HTTP/1.1\r\n\r\n"):
        assert raw_answer(served.url, request).status_code in (400, 404)
    assert httpx.get(f"{served.url}/health").status_code == HTTPStatus.OK


@pytest.mark.parametrize("host", ["evil.example/path", "a b", "user@evil", "evil:port", "é"])
def test_a_host_that_is_none_gets_into_no_url(served: Served, host: str) -> None:
    body = b'{"files": [{"path": "a.mp4", "size": 5}]}'
    lines = [
        "POST /jobs HTTP/1.1",
        f"Host: {host}",
        f"Authorization: {served.ann.headers['authorization']}",
        f"Content-Length: {len(body)}",
    ]
    response = raw_answer(served.url, "\r\n".join([*lines, "", ""]).encode() + body)
    if response.status_code == HTTPStatus.CREATED:
        assert upload_of(response.json()).startswith(f"{served.url}/objects/uploads/")
    else:
        assert response.status_code == HTTPStatus.BAD_REQUEST


# Reading


@pytest.fixture(scope="module")
def transcript(served: Served) -> str:
    """The URL of an object of 100,000 bytes."""
    key = keys.transcript(MISSING, "week1/talk", "txt")
    served.site.objects.put(key, CONTENT)
    return served.get_url(key, "talk.txt")


CONTENT = bytes(range(250)) * 400


def test_a_download_has_its_name_and_is_kept_nowhere(transcript: str) -> None:
    response = httpx.get(transcript)
    assert (response.status_code, response.content) == (200, CONTENT)
    assert response.headers["content-disposition"] == 'attachment; filename="talk.txt"'
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["cache-control"] == "private, no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    asked = httpx.head(transcript)
    assert (asked.status_code, asked.content, asked.headers["content-length"]) == (200, b"", "100000")


@pytest.mark.parametrize(
    ("range", "expected"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=100-199", slice(100, 200)),
        ("bytes=99990-", slice(99990, None)),
        ("bytes=-10", slice(-10, None)),
        ("bytes=50000-999999", slice(50000, None)),
    ],
)
def test_parts_can_be_read(transcript: str, range: str, expected: slice) -> None:
    response = httpx.get(transcript, headers={"Range": range})
    assert response.status_code == HTTPStatus.PARTIAL_CONTENT
    assert response.content == CONTENT[expected]
    start, stop, _ = expected.indices(len(CONTENT))
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/100000"


def test_a_part_beyond_the_end_is_refused(transcript: str) -> None:
    response = httpx.get(transcript, headers={"Range": "bytes=100000-"})
    assert_problem(response, 416, "Range")
    assert response.headers["content-range"] == "bytes */100000"
    assert_problem(httpx.get(transcript, headers={"Range": "bytes=9-1"}), 400, "Range")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda url: url.partition("?")[0], id="none"),
        pytest.param(lambda url: url[:-1] + "g", id="signature"),
        pytest.param(lambda url: url.replace("talk.txt?", "other.txt?"), id="key"),
        pytest.param(lambda url: url.replace("=talk.txt", "=other.html"), id="name"),
        pytest.param(lambda url: re.sub(r"expires=(\d+)", r"expires=9\1", url), id="expiry"),
    ],
)
def test_a_changed_url_reads_nothing(transcript: str, change: Callable[[str], str]) -> None:
    assert_problem(httpx.get(change(transcript)), 403, "Ask for a fresh URL with GET")


def test_expired_and_deleted_downloads(served: Served) -> None:
    key = keys.transcript(MISSING, "week1/talk", "txt")
    assert_problem(httpx.get(served.get_url(key, seconds=-1)), 403, "The URL has expired.")
    gone = keys.transcript(MISSING, "week1/gone", "txt")
    assert_problem(httpx.get(served.get_url(gone)), 404, "has been deleted")


def test_a_transcript_is_reached_from_its_job(served: Served) -> None:
    job = served.job(5)
    file = served.site.records.file(job["id"], 0)
    assert file is not None
    path = f"/jobs/{job['id']}/files/0/transcript"
    assert_problem(served.ann.get(path, params={"format": "srt"}), 409, "not transcribed yet")
    assert_problem(served.ann.get(path, params={"format": "doc"}), 422, "format must be one of")
    served.site.records.move_file(file, FileState.SUCCEEDED)
    served.site.objects.put(keys.transcript(job["id"], file.output, "srt"), b"1\n")
    redirect = served.ann.get(path, params={"format": "srt"})
    assert redirect.status_code == HTTPStatus.FOUND
    response = httpx.get(redirect.headers["location"])
    assert response.content == b"1\n"
    assert response.headers["content-disposition"] == 'attachment; filename="0.srt"'


# Figures and the end


def test_asking_for_a_job_is_quick(served: Served, figure: Figure) -> None:
    one, many = served.job(5)["id"], served.job(*[5] * 1000)["id"]

    def median(path: str) -> float:
        times = []
        for _ in range(50):
            start = time.perf_counter()
            assert served.ann.get(path).status_code == HTTPStatus.OK
            times.append(time.perf_counter() - start)
        return 1000 * statistics.median(times)

    bare, health, job, large = (median(path) for path in ("/", "/health", f"/jobs/{one}", f"/jobs/{many}"))
    figure(
        f"median of GET /jobs/<id> {job:.1f} ms, with 1,000 files {large:.1f} ms (bare server {bare:.1f} ms, "
        f"through Chalice {health:.1f} ms)"
    )
    assert job < 20


def test_a_job_of_a_thousand_files_is_created_quickly(served: Served, figure: Figure) -> None:
    start = time.perf_counter()
    job = served.job(*[5] * 1000)
    taken = time.perf_counter() - start
    figure(f"POST /jobs with 1,000 files: {taken:.2f} s")
    assert len({file["upload"]["url"] for file in job["files"]}) == 1000
    assert taken < 2


def test_memory_does_not_grow_with_an_upload(tmp_path: Path, figure: Figure) -> None:
    size, block = 2 * 10**9, bytes(MIB)
    site = Site.at(tmp_path)
    with serving_process(tmp_path) as (process, url), client(url, site.token("ann")) as ann:
        assert ann.post("/jobs", json={"files": [{"path": "warm.mp4", "size": 1}]}).status_code == HTTPStatus.CREATED
        job = ann.post("/jobs", json={"files": [{"path": "long.mp4", "size": size}]}).json()
        before = memory(process.pid, "VmRSS")
        blocks = (block[: min(MIB, size - start)] for start in range(0, size, MIB))
        start = time.perf_counter()
        response = ann.put(upload_of(job), content=blocks, headers={"Content-Length": str(size)}, timeout=120)
        taken = time.perf_counter() - start
        growth = memory(process.pid, "VmHWM") - before
    assert response.status_code == HTTPStatus.OK
    assert site.objects.size(key_of(job)) == size
    site.objects.delete(keys.upload(job["id"], ""))
    figure(f"an upload of 2 GB took {taken:.1f} s, {size / taken / 1e6:.0f} MB/s; memory grew by {growth / 1e6:.1f} MB")
    assert growth < 50e6


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_ends_within_seconds(tmp_path: Path, figure: Figure, stop: signal.Signals) -> None:
    site = Site.at(tmp_path)
    with serving_process(tmp_path) as (process, url), client(url, site.token("ann")) as ann:
        job = ann.post("/jobs", json={"files": [{"path": "a.mp4", "size": MIB}]}).json()
        with connection(url) as raw:
            raw.sendall(head("PUT", upload_of(job), f"Content-Length: {MIB}") + b"half")
            assert eventually(lambda: site.unfinished() != [])
            start = time.perf_counter()
            process.send_signal(stop)
            response = read_response(raw)
            assert process.wait(10) == 0
            taken = time.perf_counter() - start
        assert process.stdout is not None
        assert process.stdout.read() == "stopped\n"
    figure(f"{taken:.1f} s with an upload under way")
    assert_problem(response, 503, "The server is being stopped.")
    assert site.unfinished() == []
    assert taken < 6
