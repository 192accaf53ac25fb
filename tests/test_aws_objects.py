"""What S3Objects does besides the contract of `test_objects`."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib import keys
from chalicelib.aws import platform
from chalicelib.aws.objects import PART_BYTES, S3Objects, attachment
from chalicelib.ports import ObjectMissing
from tests.aws import MEDIA, REGION, TRANSCRIPTS

JOB = "01k0000000000000000000000a"
KEY = keys.upload(JOB, "week 1/50%+ü.mp4")


@pytest.fixture
def objects(aws_environment: dict[str, str]) -> S3Objects:
    return platform.objects(aws_environment)


def parts_of(url: str) -> tuple[str, str, dict[str, str]]:
    """Host, path and query of a URL."""
    split = urlsplit(url)
    assert split.scheme == "https"
    return split.netloc, split.path, {name: value for name, (value,) in parse_qs(split.query).items()}


def listed(bucket: str) -> list[str]:
    return [found["Key"] for found in boto3.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_media_and_results_have_a_bucket_each(objects: S3Objects) -> None:
    for key in (KEY, "inbox/course/a.mp4", keys.transcript(JOB, "a", "srt"), keys.files(JOB)):
        objects.put(key, b"x")
    assert listed(MEDIA) == ["inbox/course/a.mp4", KEY]
    assert listed(TRANSCRIPTS) == [keys.transcript(JOB, "a", "srt"), keys.files(JOB)]


@pytest.mark.parametrize("size", [0, 156222084])
def test_an_upload_has_its_length_and_its_newness_signed(objects: S3Objects, size: int) -> None:
    upload = objects.presign_put(KEY, size, 3600)
    host, path, query = parts_of(upload.url)
    assert upload.method == "PUT"
    assert upload.headers == {"Content-Length": str(size), "If-None-Match": "*"}
    assert host == f"{MEDIA}.s3.{REGION}.amazonaws.com"
    assert path == f"/{quote(KEY)}"
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-SignedHeaders"] == "content-length;host;if-none-match"
    assert query["X-Amz-Expires"] == "3600"
    assert set(query) == {
        f"X-Amz-{name}" for name in "Algorithm Credential Date Expires SignedHeaders Signature".split()
    }


def test_each_length_has_its_own_signature(objects: S3Objects) -> None:
    signatures = {parts_of(objects.presign_put(KEY, size, 60).url)[2]["X-Amz-Signature"] for size in (1, 2, 3)}
    assert len(signatures) == 3


def test_urls_are_regional_in_the_first_region_too(aws_environment: dict[str, str], monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    url = platform.objects(aws_environment).presign_get(KEY, 60, "a.mp4")
    assert parts_of(url)[0] == f"{MEDIA}.s3.us-east-1.amazonaws.com"


def test_a_download_gets_its_name(objects: S3Objects) -> None:
    host, path, query = parts_of(objects.presign_get(keys.transcript(JOB, "week 1/é", "srt"), 60, "é.srt"))
    assert (host, path) == (f"{TRANSCRIPTS}.s3.{REGION}.amazonaws.com", f"/transcripts/{JOB}/week%201/%C3%A9.srt")
    assert query["response-content-disposition"] == "attachment; filename=\"_.srt\"; filename*=UTF-8''%C3%A9.srt"
    assert query["X-Amz-Expires"] == "60"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("talk.srt", "attachment; filename=\"talk.srt\"; filename*=UTF-8''talk.srt"),
        ('a "b"\\50%.srt', "attachment; filename=\"a _b__50_.srt\"; filename*=UTF-8''a%20%22b%22%5C50%25.srt"),
        ("a\r\nB: x.srt", "attachment; filename=\"a__B: x.srt\"; filename*=UTF-8''a%0D%0AB%3A%20x.srt"),
        ("🎬.srt", "attachment; filename=\"_.srt\"; filename*=UTF-8''%F0%9F%8E%AC.srt"),
    ],
)  # fmt: skip
def test_names_of_downloads_are_quoted(name: str, header: str) -> None:
    assert attachment(name) == header


def test_the_source_is_a_url_that_outlives_a_function(objects: S3Objects) -> None:
    objects.put(KEY, b"media")
    host, path, query = parts_of(objects.source(KEY))
    assert (host, path) == (f"{MEDIA}.s3.{REGION}.amazonaws.com", f"/{quote(KEY)}")
    assert int(query["X-Amz-Expires"]) > 900
    assert query["X-Amz-SignedHeaders"] == "host"
    with pytest.raises(ObjectMissing):
        objects.source(keys.upload(JOB, "other.mp4"))


@pytest.fixture
def calls(objects: S3Objects) -> list[tuple[str, int]]:
    """What is asked of S3 from here on, with the number of bytes, or of keys, that it is about."""
    asked: list[tuple[str, int]] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        asked.append((model.name, len(params.get("Body", params.get("Delete", {}).get("Objects", ())))))

    objects.client.meta.events.register("provide-client-params.s3", note)
    return asked


def test_a_long_stream_is_stored_in_parts(objects: S3Objects, calls: list[tuple[str, int]]) -> None:
    blocks = [bytes([n]) * (3 * 2**20) for n in range(7)]
    objects.put_stream(keys.samples(JOB, 0), blocks)
    assert calls == [
        ("CreateMultipartUpload", 0),
        ("UploadPart", 9 * 2**20),
        ("UploadPart", 9 * 2**20),
        ("UploadPart", 3 * 2**20),
        ("CompleteMultipartUpload", 0),
    ]
    assert objects.get(keys.samples(JOB, 0)) == b"".join(blocks)
    assert objects.get_range(keys.samples(JOB, 0), 3 * 2**20 - 1, 2) == b"\0\1"


def test_a_stream_that_ends_with_a_part_has_no_empty_one(objects: S3Objects, calls: list[tuple[str, int]]) -> None:
    objects.put_stream(keys.samples(JOB, 0), [b"x" * PART_BYTES])
    assert calls == [
        ("CreateMultipartUpload", 0),
        ("UploadPart", PART_BYTES),
        ("CompleteMultipartUpload", 0),
    ]
    assert objects.size(keys.samples(JOB, 0)) == PART_BYTES


def test_a_short_stream_is_stored_at_once(objects: S3Objects, calls: list[tuple[str, int]]) -> None:
    objects.put_stream(keys.samples(JOB, 0), [b"ab", b"", b"c"])
    objects.put_stream(keys.samples(JOB, 1), [])
    assert calls == [("PutObject", 3), ("PutObject", 0)]
    assert (objects.get(keys.samples(JOB, 0)), objects.get(keys.samples(JOB, 1))) == (b"abc", b"")


def test_a_torn_stream_leaves_no_parts(objects: S3Objects) -> None:
    def torn() -> Iterator[bytes]:
        yield b"x" * PART_BYTES
        yield b"x" * PART_BYTES
        raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        objects.put_stream(keys.samples(JOB, 0), torn())
    assert listed(TRANSCRIPTS) == []
    assert "Uploads" not in objects.client.list_multipart_uploads(Bucket=TRANSCRIPTS)


def test_many_objects_are_listed_and_deleted_page_by_page(objects: S3Objects, calls: list[tuple[str, int]]) -> None:
    for index in range(1001):
        objects.put(keys.chunk(JOB, 0, index), b"")
    calls.clear()
    assert len(list(objects.keys(keys.work(JOB)))) == 1001
    objects.delete(keys.work(JOB))
    assert [call for call in calls if call[1]] == [("DeleteObjects", 1000), ("DeleteObjects", 1)]
    assert listed(TRANSCRIPTS) == []


@pytest.mark.parametrize("prefix", ["", "work/", "uploads/", "work/a", f"work/{JOB}"])
def test_what_is_not_of_one_job_cannot_be_deleted(objects: S3Objects, prefix: str) -> None:
    objects.put(keys.files(JOB), b"[]")
    with pytest.raises(ValueError, match="is not the prefix of one job's objects"):
        objects.delete(prefix)
    assert listed(TRANSCRIPTS) == [keys.files(JOB)]


def test_what_cannot_be_deleted_is_told(objects: S3Objects, monkeypatch: Any) -> None:
    objects.put(keys.files(JOB), b"[]")
    refused = {"Errors": [{"Key": keys.files(JOB), "Code": "AccessDenied"}]}
    monkeypatch.setattr(objects.client, "delete_objects", lambda **_: refused)
    with pytest.raises(OSError, match="S3 could not delete 1 objects"):
        objects.delete(keys.work(JOB))


def test_a_bucket_that_is_missing_is_not_a_missing_object(objects: S3Objects) -> None:
    elsewhere = S3Objects(objects.client, "no-such-bucket", "no-such-bucket")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        elsewhere.get(keys.files(JOB))
    with pytest.raises(ClientError, match="NoSuchBucket"):
        elsewhere.put(keys.files(JOB), b"x")


def test_requests_are_tried_again(objects: S3Objects) -> None:
    assert objects.client.meta.config.retries == {"mode": "standard", "total_max_attempts": 8}
