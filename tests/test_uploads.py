"""Storing files by signed URLs, over real HTTP."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from chalicelib import keys
from chalicelib.jobs import FileState, JobState
from local import transfers
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
    file_state,
    key_of,
    memory,
    serving_process,
    serving_site,
    upload_of,
)
from tests.test_objects import ODD_NAMES


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_site(tmp_path_factory.mktemp("site")) as served:
        yield served


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
    assert response.status_code == HTTPStatus.OK
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
