"""The server of one machine over real HTTP: the edge of the API, its speed and its end."""

import dataclasses
import signal
import sqlite3
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from chalicelib import page, platform
from local.database import Database
from tests.conftest import Figure
from tests.raw import connection, head, raw_answer, read_response
from tests.serving import (
    MIB,
    MISSING,
    Served,
    Site,
    assert_problem,
    client,
    eventually,
    serving_process,
    serving_site,
    upload_of,
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_site(tmp_path_factory.mktemp("site")) as served:
        yield served


def test_a_person_finds_a_friendly_word(served: Served) -> None:
    response = httpx.get(served.url)
    assert response.status_code == HTTPStatus.OK
    assert response.text == page.index().body  # the page, or what the service is where that was not built


def test_health_needs_no_token(served: Served) -> None:
    response = httpx.get(f"{served.url}/health")
    assert response.status_code == HTTPStatus.OK
    assert response.json() == {
        "status": "ok",
        "version": "0.1.0",
        "models": ["base", "tiny.en"],
        "default_model": "tiny.en",
        "diarizes": False,
    }
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
    good, expired = served.site.token("ann", days=1), served.expired_token("ann")
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
    assert response.headers["Connection"] == "close"
    assert health.status_code == HTTPStatus.OK
    assert served.ann.get("/jobs").status_code == HTTPStatus.OK


def test_a_database_without_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "_provided", [])  # that of the other tests is back after this one
    connect = Database._connect

    def connect_without_room(database: Database) -> sqlite3.Connection:
        connection = connect(database)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    with serving_site(tmp_path) as served:
        monkeypatch.setattr(Database, "_connect", connect_without_room)
        files = [{"path": f"{n}.mp4", "size": 5} for n in range(1000)]
        response = served.ann.post("/jobs", json={"files": files})
        assert_problem(response, 503, "The server's disk is full. Try again when there is room.")
        assert served.ann.get("/jobs").json()["jobs"] == []


def test_requests_at_the_same_time_are_kept_apart(served: Served) -> None:
    own = served.job(5)["id"]

    def ask(n: int) -> bool:
        asked = (served.ann, served.bob)[n % 2]
        ids = [job["id"] for job in asked.get("/jobs", params={"limit": 1 + n % 7}).json()["jobs"]]
        return ids[:1] == [own] if asked is served.ann else ids == []

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(400)))


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
