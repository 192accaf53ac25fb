"""Reading transcripts by signed URLs, over real HTTP."""

import re
from collections.abc import Callable, Iterator
from http import HTTPStatus

import httpx
import pytest

from chalicelib import keys
from chalicelib.jobs import FileState
from tests.serving import MISSING, Served, assert_problem, serving_site


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_site(tmp_path_factory.mktemp("site")) as served:
        yield served


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
