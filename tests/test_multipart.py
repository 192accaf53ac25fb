"""Uploading in parts by the API: over real HTTP on one machine, and the same use cases on emulated AWS."""

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

import boto3
import httpx
import pytest

from chalicelib import answers, multipart
from chalicelib.aws import platform
from chalicelib.errors import Problem
from chalicelib.jobs import FileState
from chalicelib.parts import MULTIPART_BYTES, PART_BYTES, Span
from chalicelib.service import Service
from tests.aws import MEDIA
from tests.serving import MISSING, Served, assert_problem, file_state, key_of, serving_site, upload_of
from tests.test_parts import crc32

SIZE = PART_BYTES + 5
FIRST, LAST = bytes(range(256)) * (PART_BYTES // 256), b"Hello"
WANTED = [{"number": 1, "crc32": crc32(FIRST)}, {"number": 2, "crc32": crc32(LAST)}]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_site(tmp_path_factory.mktemp("site")) as served:
        yield served


def ask(served: Served, job: dict[str, Any], *parts: dict[str, Any]) -> dict[str, Any]:
    response = served.ann.post(f"/jobs/{job['id']}/files/0/parts", json={"parts": list(parts)})
    assert response.status_code == HTTPStatus.OK, response.text
    answer: dict[str, Any] = response.json()
    return answer


def put(upload: dict[str, Any], content: bytes) -> httpx.Response:
    return httpx.request(upload["method"], upload["url"], headers=upload["headers"], content=content)


def complete(served: Served, job: dict[str, Any], *etags: str) -> httpx.Response:
    parts = [{"number": number, "etag": etag} for number, etag in enumerate(etags, 1)]
    return served.ann.post(f"/jobs/{job['id']}/files/0/complete", json={"parts": parts})


def test_a_file_in_parts_starts_the_job(served: Served) -> None:
    job = served.job(SIZE)
    first = ask(served, job, *WANTED)
    assert (first["part_size"], first["parts"], first["stored"]) == (PART_BYTES, 2, [])
    assert [upload["number"] for upload in first["uploads"]] == [1, 2]
    assert put(first["uploads"][1], LAST).status_code == HTTPStatus.OK
    stored = {"number": 2, "size": 5, "etag": "f7d18982", "crc32": "99GJgg=="}
    assert ask(served, job)["stored"] == [stored]
    assert ask(served, job, WANTED[0])["stored"] == []
    assert ask(served, job, WANTED[1])["stored"] == [stored]
    sent = put(first["uploads"][0], FIRST)
    assert_problem(complete(served, job, sent.headers["ETag"], '"other"'), 409, "Not there", "part 2")
    assert served.site.started.count(job["id"]) == 0
    done = complete(served, job, sent.headers["ETag"], '"f7d18982"')
    assert (done.status_code, done.json()["state"]) == (HTTPStatus.OK, "uploaded")
    assert served.site.objects.get(key_of(job)) == FIRST + LAST
    assert served.site.started.count(job["id"]) == 1
    assert complete(served, job, sent.headers["ETag"], '"f7d18982"').json() == done.json()
    assert_problem(served.ann.post(f"/jobs/{job['id']}/files/0/parts"), 409, "uploaded already")
    assert_problem(served.ann.delete(f"/jobs/{job['id']}/files/0/parts"), 409, "uploaded already")
    assert_problem(put(first["uploads"][0], bytes(PART_BYTES)), 404, "completed or aborted")
    assert served.site.objects.get(key_of(job)) == FIRST + LAST


def test_the_answer_says_how_a_file_is_uploaded_best(served: Served) -> None:
    job = served.job(0, MULTIPART_BYTES - 1, MULTIPART_BYTES, 10**12)
    ways = [set(file) & {"upload", "multipart"} for file in job["files"]]
    assert ways == [{"upload"}, {"upload"}, {"upload", "multipart"}, {"multipart"}]
    assert job["files"][2]["multipart"] == {"part_size": PART_BYTES, "parts": 8}
    assert job["files"][3]["multipart"] == {"part_size": 96 * 2**20, "parts": 9935}


def test_a_part_is_one_url_one_size_one_checksum(served: Served) -> None:
    job = served.job(SIZE)
    upload = ask(served, job, WANTED[1])["uploads"][0]
    fresh = "POST /jobs/<id>/files/<n>/parts"
    for name, other in (("part=2", "part=1"), ("offset=8388608", "offset=0"), ("size=5", "size=4"), ("99G", "89G")):
        assert name in upload["url"]
        assert_problem(put({**upload, "url": upload["url"].replace(name, other)}, LAST), 403, "not one that", fresh)
    assert_problem(put({**upload, "headers": {}}, b"Hell"), 400, "4 bytes were sent where 5 were declared")
    assert_problem(put(upload, b"Hallo"), 400, "damaged on its way", "Send the part again.")
    assert ask(served, job)["stored"] == []
    assert put(upload, LAST).headers["ETag"] == '"f7d18982"'
    assert put(upload, LAST).headers["ETag"] == '"f7d18982"'


def test_an_expired_part_is_refused(served: Served) -> None:
    job = served.job(SIZE)
    number = ask(served, job, WANTED[1])["uploads"][0]
    file = served.site.records.file(job["id"], 0)
    assert file is not None
    assert file.multipart is not None
    expired = served.part_url(key_of(job), file.multipart, Span(2, PART_BYTES, 5), crc32(LAST), -1)
    assert_problem(put({**number, "url": expired}, LAST), 403, "The URL has expired.")
    assert ask(served, job)["stored"] == []


def test_a_slow_disk_keeps_nobody_else_waiting(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    job = served.job(SIZE)
    (upload,) = ask(served, job, WANTED[1])["uploads"]
    syncing, synced, sync = threading.Event(), threading.Event(), os.fdatasync

    def slow(descriptor: int) -> None:
        syncing.set()
        synced.wait(10)
        sync(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(put, upload, LAST)
        assert syncing.wait(10)
        again = threads.submit(put, upload, LAST)
        try:
            for _ in range(10):
                time.sleep(0.05)
                assert httpx.get(f"{served.url}/health", timeout=1).status_code == HTTPStatus.OK
        finally:
            synced.set()
        assert {first.result().status_code, again.result().status_code} == {HTTPStatus.OK}
    assert [part["number"] for part in ask(served, job)["stored"]] == [2]


def test_aborting_begins_anew(served: Served) -> None:
    job = served.job(SIZE)
    old = ask(served, job, *WANTED)["uploads"]
    assert put(old[1], LAST).status_code == HTTPStatus.OK
    for _ in range(2):
        assert served.ann.delete(f"/jobs/{job['id']}/files/0/parts").status_code == HTTPStatus.NO_CONTENT
    assert_problem(put(old[0], FIRST), 404, "completed or aborted")
    assert_problem(complete(served, job, "a", "b"), 409, "There are no parts")
    assert ask(served, job)["stored"] == []
    assert httpx.put(upload_of(job), content=FIRST + LAST).status_code == HTTPStatus.OK
    assert file_state(served, job) == FileState.UPLOADED


def test_a_file_that_arrived_otherwise_is_not_overwritten(served: Served) -> None:
    job = served.job(5)
    upload = ask(served, job, {"number": 1, "crc32": crc32(b"Hello")})["uploads"][0]
    etag = put(upload, b"Hello").headers["ETag"]
    served.site.objects.put(key_of(job), b"first")  # and the server killed before it took note
    assert complete(served, job, etag).json()["state"] == "uploaded"
    assert served.site.objects.get(key_of(job)) == b"first"
    assert not list(served.site.objects.root.glob(f"partial/{key_of(job)}/*"))


def test_a_digest_of_a_whole_file_is_checked(served: Served) -> None:
    job = served.job(5)
    wrong = {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert_problem(httpx.put(upload_of(job), content=b"Hello", headers=wrong), 400, "damaged on its way")
    assert served.site.objects.size(key_of(job)) is None
    right = {"Content-MD5": "ixqZU8RhEpaoJ6v4xHgE1w=="}
    assert httpx.put(upload_of(job), content=b"Hello", headers=right).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("action", "body", "field", "said"),
    [
        ("parts", {"parts": [{"number": 3, "crc32": "AAAAAA=="}]}, "parts[0].number", "must not be more than 2"),
        ("parts", {"parts": [{"number": 0, "crc32": "AAAAAA=="}]}, "parts[0].number", "must be 1 or more"),
        ("parts", {"parts": [{"number": 1, "crc32": "AAAA"}]}, "parts[0].crc32", "must be the base64 of the part's"),
        ("parts", {"parts": [{"number": 1, "crc32": "é"}]}, "parts[0].crc32", "must be the base64 of the part's"),
        ("parts", {"parts": [{"number": 1}]}, "parts[0].crc32", "must be given"),
        ("parts", {"parts": [{"number": 1, "crc32": "AAAAAA=="}] * 101}, "parts", "must hold no more than 100"),
        ("complete", {}, "parts", "must be given"),
        (
            "complete",
            {"parts": [{"number": 2, "etag": "x"}]},
            "parts",
            "each part from 1 to 2 with its ETag, and lacks",
        ),
        ("complete", {"parts": [{"number": 10_001, "etag": "x"}]}, "parts[0].number", "must be 10000 or less"),
    ],
)
def test_wrong_requests_are_told(served: Served, action: str, body: object, field: str, said: str) -> None:
    job = served.job(SIZE)
    ask(served, job)
    response = served.ann.post(f"/jobs/{job['id']}/files/0/{action}", json=body)
    assert_problem(response, 422)
    (error,) = response.json()["errors"]
    assert error["field"] == field
    assert said in error["message"]


def test_a_file_too_large_for_the_disk_is_told(served: Served) -> None:
    job = served.job(4 * 10**12)
    assert_problem(served.ann.post(f"/jobs/{job['id']}/files/0/parts"), 507, "There is no room for these")


@pytest.mark.parametrize(("method", "action"), [("POST", "parts"), ("POST", "complete"), ("DELETE", "parts")])
def test_anothers_files_are_not_to_be_told_from_missing_ones(served: Served, method: str, action: str) -> None:
    job = served.job(SIZE)
    body = json.dumps({"parts": []})
    theirs = served.bob.request(method, f"/jobs/{job['id']}/files/0/{action}", content=body)
    missing = served.bob.request(method, f"/jobs/{MISSING}/files/0/{action}", content=body)
    assert_problem(theirs, 404, "There is no such job.")
    assert theirs.json() == missing.json()
    for n in ("1", "-1", "x"):
        assert_problem(served.ann.request(method, f"/jobs/{job['id']}/files/{n}/{action}", content=body), 404, "file")


class TestOnAWS:
    @pytest.fixture
    def service(self, aws_environment: dict[str, str]) -> Service:
        return platform.service(aws_environment)

    def job(self, service: Service, size: int) -> tuple[str, answers.File]:
        created = service.create_job("ann", json.dumps({"files": [{"path": "a.mp4", "size": size}]}))
        return created["id"], created["files"][0]

    def store(self, service: Service, job: str, number: int, body: bytes) -> str:
        file = service.records.file(job, 0)
        assert file is not None
        part = {"Bucket": MEDIA, "Key": file.key, "UploadId": file.multipart, "PartNumber": number, "Body": body}
        etag: str = boto3.client("s3").upload_part(**part)["ETag"]
        return etag

    def test_a_file_in_parts_starts_the_job(self, service: Service) -> None:
        job, _ = self.job(service, SIZE)
        asked = multipart.parts(service, "ann", job, "0", json.dumps({"parts": WANTED}))
        assert asked["stored"] == []
        assert {f"partNumber={upload['number']}" in upload["url"] for upload in asked["uploads"]} == {True}
        etags = [self.store(service, job, 1, FIRST), self.store(service, job, 2, LAST)]
        again = multipart.parts(service, "ann", job, "0", "")
        assert [part["size"] for part in again["stored"]] == [PART_BYTES, 5]
        sent = json.dumps({"parts": [{"number": n, "etag": etag} for n, etag in enumerate(etags, 1)]})
        assert multipart.complete(service, "ann", job, "0", sent)["state"] == "uploaded"
        assert service.job("ann", job)["state"] == "queued"
        assert multipart.complete(service, "ann", job, "0", sent)["state"] == "uploaded"

    def test_another_size_than_declared_fails_the_file(self, service: Service) -> None:
        """S3 takes what is signed alone; moto takes anything."""
        job, _ = self.job(service, 5)
        multipart.parts(service, "ann", job, "0", "")
        sent = json.dumps({"parts": [{"number": 1, "etag": self.store(service, job, 1, b"Hello!")}]})
        done = multipart.complete(service, "ann", job, "0", sent)
        assert done["error"] == {
            "code": "size_mismatch",
            "message": "6 bytes arrived where 5 were declared. Retry the job, and upload the file again.",
        }

    def test_what_was_completed_without_an_answer_is_found(self, service: Service) -> None:
        job, _ = self.job(service, 5)
        multipart.parts(service, "ann", job, "0", "")
        file = service.records.file(job, 0)
        assert file is not None
        etag = self.store(service, job, 1, b"Hello")
        service.objects.complete_parts(
            file.key, str(file.multipart), service.objects.parts(file.key, str(file.multipart))
        )
        sent = json.dumps({"parts": [{"number": 1, "etag": etag}]})
        assert multipart.complete(service, "ann", job, "0", sent)["state"] == "uploaded"

    def test_a_large_file_has_no_single_request(self, service: Service) -> None:
        job, file = self.job(service, 5 * 2**30 + 1)
        assert "upload" not in file
        assert file["multipart"]["part_size"] * (file["multipart"]["parts"] - 1) < file["size"]
        with pytest.raises(Problem, match="Send it in parts"):
            service.upload("ann", job, "0")

    def test_of_two_beginnings_one_counts(self, service: Service) -> None:
        job, _ = self.job(service, 5)
        file = service.records.file(job, 0)
        assert file is not None
        multipart._begun(service, file, 1, 1)
        recorded = service.records.file(job, 0)
        assert recorded is not None
        assert multipart._begun(service, file, 1, 1)[0] == recorded.multipart
        (left,) = boto3.client("s3").list_multipart_uploads(Bucket=MEDIA)["Uploads"]
        assert left["UploadId"] == recorded.multipart
