"""Uploads in parts: what every adapter of the Objects port keeps to, and what the disk's own does besides."""

import base64
import os
import resource
import threading
import time
import zlib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import keys
from chalicelib.aws import platform
from chalicelib.aws.objects import S3Objects
from chalicelib.parts import MIB, MOST_PARTS, Layout, Span
from chalicelib.ports import ObjectExists, Objects, Part, PartsDiffer, UploadMissing
from local import partial
from local.files import DiskFull
from local.objects import DiskObjects
from local.partial import FORGOTTEN_SECONDS, ChecksumDiffers, PartReplaced
from tests.aws import MEDIA

JOB = "01k0000000000000000000000a"
KEY = keys.upload(JOB, "week 1/50%+ü.mp4")
PART = 5 * MIB
SIZE = 2 * PART + 3
SPANS = [Span(1, 0, PART), Span(2, PART, PART), Span(3, 2 * PART, 3)]
BODIES = [b"1" * PART, b"2" * PART, b"end"]
MISSING = "0" * 32


def crc32(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()


@pytest.fixture(params=["disk", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "disk":
        return DiskObjects(tmp_path / "objects", b"secret")
    return platform.objects(request.getfixturevalue("aws_environment"))


@pytest.fixture
def disk(tmp_path: Path) -> DiskObjects:
    return DiskObjects(tmp_path / "objects", b"secret")


def store(objects: Objects, upload: str, number: int, body: bytes | None = None, key: str = KEY) -> None:
    """Stores a part as its signed request would."""
    body = BODIES[number - 1] if body is None else body
    if isinstance(objects, DiskObjects):
        with objects.part_draft(key, upload, SPANS[number - 1], crc32(body)) as draft:
            if draft.needed:
                draft.write(body)
                draft.publish()
    else:
        boto3.client("s3").upload_part(Bucket=MEDIA, Key=key, UploadId=upload, PartNumber=number, Body=body)


def test_parts_in_any_order_become_one_object(objects: Objects) -> None:
    upload = objects.begin_parts(KEY, SIZE)
    assert objects.parts(KEY, upload) == []
    for number in (3, 1, 2):
        store(objects, upload, number)
    assert objects.size(KEY) is None
    parts = objects.parts(KEY, upload)
    assert [(part.number, part.size) for part in parts] == [(1, PART), (2, PART), (3, 3)]
    assert len({part.etag for part in parts}) == 3
    assert objects.parts(KEY, upload, 2, 2) == parts[1:2]
    assert objects.parts(KEY, upload, 2) == parts[1:]
    objects.complete_parts(KEY, upload, parts)
    assert objects.get(KEY) == b"".join(BODIES)
    assert list(objects.keys(keys.UPLOADS)) == [KEY]
    with pytest.raises(UploadMissing):
        objects.parts(KEY, upload)


def test_a_part_may_be_stored_again(objects: Objects) -> None:
    upload = objects.begin_parts(KEY, SIZE)
    for number in (1, 2, 3):
        store(objects, upload, number)
    before = objects.parts(KEY, upload)
    store(objects, upload, 3, b"END")
    after = objects.parts(KEY, upload)
    assert before[:2] == after[:2]
    assert before[2].etag != after[2].etag
    with pytest.raises(PartsDiffer):
        objects.complete_parts(KEY, upload, before)
    objects.complete_parts(KEY, upload, after)
    assert objects.get_range(KEY, 2 * PART, 9) == b"END"


def test_an_object_is_never_overwritten(objects: Objects) -> None:
    upload = objects.begin_parts(KEY, 3)
    if isinstance(objects, DiskObjects):
        with objects.part_draft(KEY, upload, Span(1, 0, 3), crc32(b"end")) as draft:
            draft.write(b"end")
            draft.publish()
    else:
        store(objects, upload, 1, b"end")
    objects.put(KEY, b"first")
    with pytest.raises(ObjectExists):
        objects.complete_parts(KEY, upload, objects.parts(KEY, upload))
    assert objects.get(KEY) == b"first"


def test_what_is_aborted_or_deleted_is_gone(objects: Objects) -> None:
    aborted, deleted, other = (objects.begin_parts(KEY, SIZE) for _ in range(3))
    elsewhere = keys.upload("01k0000000000000000000000b", "a.mp4")
    kept = objects.begin_parts(elsewhere, SIZE)
    for upload in (aborted, deleted):
        store(objects, upload, 2)
    objects.abort_parts(KEY, aborted)
    objects.abort_parts(KEY, aborted)
    with pytest.raises(UploadMissing):
        objects.parts(KEY, aborted)
    assert len(objects.parts(KEY, deleted)) == 1
    objects.delete(keys.upload(JOB, ""))
    for upload in (deleted, other):
        with pytest.raises(UploadMissing):
            objects.parts(KEY, upload)
    assert objects.parts(elsewhere, kept) == []


def test_an_empty_file_has_one_empty_part(objects: Objects) -> None:
    upload = objects.begin_parts(KEY, 0)
    span = Layout(0).span(1)
    assert (Layout(0).count, span) == (1, Span(1, 0, 0))
    if isinstance(objects, DiskObjects):
        with objects.part_draft(KEY, upload, span, crc32(b"")) as draft:
            draft.publish()
    else:
        store(objects, upload, 1, b"")
    objects.complete_parts(KEY, upload, objects.parts(KEY, upload))
    assert objects.size(KEY) == 0


@given(st.integers(0, 5 * 10**12))
def test_every_size_has_a_layout_that_s3_takes(size: int) -> None:
    layout = Layout(size)
    assert 1 <= layout.count <= MOST_PARTS
    assert 5 * MIB <= layout.part_size <= 5 * 2**30
    last = layout.span(layout.count)
    assert last.offset + last.size == size
    assert last.size > 0 or size == 0
    if layout.count > 1:
        assert layout.span(layout.count - 1) == Span(layout.count - 1, last.offset - layout.part_size, layout.part_size)


def test_a_part_has_its_length_and_checksum_signed(aws_environment: dict[str, str]) -> None:
    objects = platform.objects(aws_environment)
    request = objects.presign_part(KEY, "upload-1", SPANS[1], crc32(b"x"), 60)
    query = parse_qs(urlsplit(request.url).query)
    assert (query["uploadId"], query["partNumber"]) == (["upload-1"], ["2"])
    assert query["X-Amz-SignedHeaders"] == ["content-length;host;x-amz-checksum-crc32"]
    assert request.headers == {"Content-Length": str(PART), "x-amz-checksum-crc32": crc32(b"x")}
    other = objects.presign_part(KEY, "upload-1", SPANS[1], crc32(b"y"), 60)
    assert parse_qs(urlsplit(other.url).query)["X-Amz-Signature"] != query["X-Amz-Signature"]


def test_s3_keeps_and_is_told_the_checksums(aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload with checksums is completed only if they are all named; moto does not list them as S3 does."""
    objects: S3Objects = platform.objects(aws_environment)
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(objects.client, "complete_multipart_upload", lambda **request: asked.append(request))
    upload = objects.begin_parts(KEY, 3)
    (begun,) = objects.client.list_multipart_uploads(Bucket=MEDIA)["Uploads"]
    assert begun["ChecksumAlgorithm"] == "CRC32"
    objects.complete_parts(KEY, upload, [Part(1, 3, "e1", crc32(b"end"))])
    assert asked[0]["MultipartUpload"] == {"Parts": [{"PartNumber": 1, "ETag": "e1", "ChecksumCRC32": crc32(b"end")}]}
    assert asked[0]["IfNoneMatch"] == "*"


def test_a_damaged_part_does_not_count(disk: DiskObjects) -> None:
    upload = disk.begin_parts(KEY, SIZE)
    store(disk, upload, 1)
    for body in (b"END", b"en"):
        with disk.part_draft(KEY, upload, SPANS[2], crc32(b"end")) as draft:
            draft.write(body)
            with pytest.raises(ChecksumDiffers):
                draft.publish()
    assert [part.number for part in disk.parts(KEY, upload)] == [1]
    assert disk.parts(KEY, upload)[0] == Part(1, PART, f"{zlib.crc32(BODIES[0]):08x}", crc32(BODIES[0]))


def test_parts_outlive_the_process_but_not_half_of_one(disk: DiskObjects) -> None:
    upload = disk.begin_parts(KEY, SIZE)
    store(disk, upload, 2)
    store(disk, upload, 3)
    child = os.fork()
    if not child:  # overwrites a part that was there, and dies while it writes the log
        draft = disk.part_draft(KEY, upload, SPANS[1], crc32(b"x" * PART)).__enter__()
        draft.write(b"x" * 1000)
        log = next((disk.root / "partial").rglob("*.log"))
        with log.open("ab") as file:
            file.write(b"+ 1 52428")
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    again = DiskObjects(disk.root, b"secret")
    again.clear_unfinished()
    again.clear_forgotten()
    assert [part.number for part in again.parts(KEY, upload)] == [3]
    for number in (1, 2):
        store(again, upload, number)
    parts = again.parts(KEY, upload)
    assert [part.crc32 for part in parts] == [crc32(body) for body in BODIES]
    again.complete_parts(KEY, upload, parts)
    assert again.get(KEY) == b"".join(BODIES)


def test_a_power_cut_takes_away_what_was_not_on_the_disk(disk: DiskObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = disk.begin_parts(KEY, SIZE)
    store(disk, upload, 1)
    with monkeypatch.context() as patched:
        patched.setattr(partial.PartialFile, "confirm", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store(disk, upload, 2)
    assert [part.number for part in disk.parts(KEY, upload)] == [1, 2]
    monkeypatch.setattr(partial, "_run", lambda: "after the power cut")
    assert [part.number for part in disk.parts(KEY, upload)] == [1]
    store(disk, upload, 2)
    assert [part.number for part in disk.parts(KEY, upload)] == [1, 2]


def test_of_two_that_send_the_same_part_the_later_counts(disk: DiskObjects) -> None:
    upload = disk.begin_parts(KEY, 3)
    earlier = disk.part_draft(KEY, upload, Span(1, 0, 3), crc32(b"old"))
    later = disk.part_draft(KEY, upload, Span(1, 0, 3), crc32(b"new"))
    with earlier:
        earlier.write(b"o")
        with later:
            later.write(b"ne")
            with pytest.raises(PartReplaced):
                earlier.write(b"l")
            with pytest.raises(PartReplaced):
                earlier.publish()
            later.write(b"w")
            later.publish()
    disk.complete_parts(KEY, upload, disk.parts(KEY, upload))
    assert disk.get(KEY) == b"new"


def test_of_many_that_send_different_parts_at_once_one_is_whole(disk: DiskObjects) -> None:
    upload = disk.begin_parts(KEY, 100_000)
    span, together = Span(1, 0, 100_000), threading.Barrier(8)

    def send(n: int) -> None:
        body = bytes([n]) * 100_000
        together.wait()
        try:
            with disk.part_draft(KEY, upload, span, crc32(body)) as draft:
                for start in range(0, len(body), 10_000):
                    draft.write(body[start : start + 10_000])
                draft.publish()
        except PartReplaced:
            pass

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (part,) = disk.parts(KEY, upload)
    disk.complete_parts(KEY, upload, [part])
    assert crc32(disk.get(KEY)) == part.crc32


def test_no_part_changes_what_is_completed(disk: DiskObjects) -> None:
    """Not even when the service was killed between the two names."""
    upload = disk.begin_parts(KEY, 3)
    with disk.part_draft(KEY, upload, Span(1, 0, 3), crc32(b"end")) as draft:
        draft.write(b"end")
        draft.publish()
    (left,) = (path for path in (disk.root / "partial").rglob("*") if path.name == upload)
    disk.put(keys.upload(JOB, "other.mp4"), b"")
    disk.path(keys.upload(JOB, "other.mp4")).parent.joinpath("week 1").mkdir()
    (disk.root / KEY).hardlink_to(left)
    with pytest.raises(UploadMissing), disk.part_draft(KEY, upload, Span(1, 0, 3), crc32(b"END")):
        pass
    with pytest.raises(UploadMissing):
        disk.parts(KEY, upload)
    disk.clear_forgotten()
    disk.clear_unfinished()
    assert not (disk.root / "partial").exists()
    assert disk.get(KEY) == b"end"


def test_forgotten_uploads_are_cleared_others_kept(tmp_path: Path) -> None:
    now = [time.time()]
    disk = DiskObjects(tmp_path, b"secret", clock=lambda: now[0])
    upload = disk.begin_parts(KEY, SIZE)
    store(disk, upload, 1)
    now[0] += FORGOTTEN_SECONDS - 60
    disk.clear_forgotten()
    assert len(disk.parts(KEY, upload)) == 1
    now[0] += 120
    disk.clear_forgotten()
    with pytest.raises(UploadMissing):
        disk.parts(KEY, upload)
    assert [path for path in (tmp_path / "partial").rglob("*") if path.is_file()] == []


def test_a_full_disk_leaves_the_parts_that_are_there(disk: DiskObjects) -> None:
    with pytest.raises(DiskFull):
        disk.begin_parts(KEY, 10**15)
    upload = disk.begin_parts(KEY, SIZE)
    store(disk, upload, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * PART, before[1]))
        with pytest.raises(DiskFull):
            store(disk, upload, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [part.number for part in disk.parts(KEY, upload)] == [1]


@pytest.mark.parametrize("upload", ["", "..", "../x", "a/b", f"{MISSING}.log"])
def test_no_id_leads_out_of_the_folder(disk: DiskObjects, upload: str) -> None:
    with pytest.raises(ValueError, match="is not the id of an upload"):
        disk.parts(KEY, upload)
