"""What every adapter of the Objects port keeps to, and what the disk's own does besides (S3's: `test_aws_objects`)."""

import resource
import threading
from collections.abc import Iterator
from contextvars import Context
from pathlib import Path

import pytest

from chalicelib import keys
from chalicelib.aws import platform
from chalicelib.ports import ObjectMissing, Objects
from local import signing
from local.files import DiskFull
from local.objects import DiskObjects, Draft

JOB = "01k0000000000000000000000a"
OTHER_JOB = "01k0000000000000000000000b"
ODD_NAMES = ["a b+c.mp4", "100%.mp4", "#1?&=.mp4", "quote'\".mp4", "🎬/映像 ü.mp4", "~.$;,@!(x).mp4", "C/:|<>*.mp4"]


@pytest.fixture(params=["disk", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "disk":
        return DiskObjects(tmp_path / "objects", b"secret")
    return platform.objects(request.getfixturevalue("aws_environment"))


def test_what_is_put_comes_back(objects: Objects) -> None:
    key = keys.transcript(JOB, "week1/talk", "txt")
    objects.put(key, b"Ask not")
    assert objects.get(key) == b"Ask not"
    assert objects.size(key) == 7


def test_putting_again_replaces(objects: Objects) -> None:
    objects.put(keys.files(JOB), b"[0, 1]")
    objects.put(keys.files(JOB), b"[]")
    assert objects.get(keys.files(JOB)) == b"[]"


def test_an_object_may_be_empty(objects: Objects) -> None:
    objects.put(keys.samples(JOB, 0), b"")
    assert objects.get(keys.samples(JOB, 0)) == b""
    assert objects.size(keys.samples(JOB, 0)) == 0


def test_a_missing_object_is_missing_in_every_way(objects: Objects) -> None:
    objects.put(keys.chunk(JOB, 0, 0), b"[]")
    for key in (keys.files(JOB), f"{keys.work(JOB)}0/chunks", f"{keys.chunk(JOB, 0, 0)}/deeper"):
        assert objects.size(key) is None
        for read in (objects.get, objects.source, lambda key: objects.get_range(key, 0, 1)):
            with pytest.raises(ObjectMissing):
                read(key)


@pytest.mark.parametrize(
    ("start", "length", "expected"), [(0, 4, b"0123"), (3, 4, b"3456"), (8, 4, b"89"), (10, 4, b""), (99, 1, b"")]
)
def test_ranges(objects: Objects, start: int, length: int, expected: bytes) -> None:
    objects.put(keys.samples(JOB, 0), b"0123456789")
    assert objects.get_range(keys.samples(JOB, 0), start, length) == expected


def test_a_stream_is_stored_whole_or_not_at_all(objects: Objects) -> None:
    def torn() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("torn")

    objects.put_stream(keys.samples(JOB, 0), (bytes([n]) * 1000 for n in range(3)))
    with pytest.raises(RuntimeError, match="torn"):
        objects.put_stream(keys.samples(JOB, 0), torn())
    with pytest.raises(RuntimeError, match="torn"):
        objects.put_stream(keys.samples(JOB, 1), torn())
    assert objects.get(keys.samples(JOB, 0)) == b"\0" * 1000 + b"\1" * 1000 + b"\2" * 1000
    assert list(objects.keys(keys.work(JOB))) == [keys.samples(JOB, 0)]


@pytest.mark.parametrize("path", ODD_NAMES)
def test_odd_names_survive(objects: Objects, path: str) -> None:
    objects.put(keys.upload(JOB, path), path.encode())
    assert list(objects.keys(keys.UPLOADS)) == [keys.upload(JOB, path)]
    assert objects.get(keys.upload(JOB, path)) == path.encode()


def test_keys_by_prefix(objects: Objects) -> None:
    chunks = {keys.chunk(JOB, file, index) for file in (1, 11) for index in range(3)}
    for key in chunks | {keys.files(JOB), keys.files(OTHER_JOB)}:
        objects.put(key, b"x")
    assert set(objects.keys(keys.work(JOB))) == chunks | {keys.files(JOB)}
    assert set(objects.keys(f"{keys.work(JOB)}1/")) == {key for key in chunks if "/1/" in key}
    assert set(objects.keys(f"{keys.work(JOB)}1")) == chunks
    assert set(objects.keys(f"{keys.work(JOB)}2/")) == set()


def test_sizes_by_prefix(objects: Objects) -> None:
    sizes = {keys.chunk(JOB, 1, index): index for index in range(3)}
    for key, size in sizes.items():
        objects.put(key, b"x" * size)
    objects.put(keys.files(OTHER_JOB), b"x")
    assert dict(objects.sizes(keys.work(JOB))) == sizes


def test_deleting_takes_away_one_prefix_only(objects: Objects) -> None:
    for key in (keys.chunk(JOB, 1, 0), keys.chunk(JOB, 11, 0), keys.files(OTHER_JOB), keys.transcript(JOB, "a", "txt")):
        objects.put(key, b"x")
    objects.delete(f"{keys.work(JOB)}1/")
    assert list(objects.keys(keys.work(JOB))) == [keys.chunk(JOB, 11, 0)]
    objects.delete(keys.work(JOB))
    objects.delete(keys.work(JOB))
    assert list(objects.keys(keys.WORK)) == [keys.files(OTHER_JOB)]
    assert objects.get(keys.transcript(JOB, "a", "txt")) == b"x"


def test_readers_never_see_half_an_object(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path / "objects", b"secret")
    key, versions = keys.files(JOB), [bytes([n]) * 300_000 for n in range(40)]
    objects.put(key, versions[0])

    def write() -> None:
        for version in versions:
            objects.put(key, version)

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while writer.is_alive():
        seen.append(objects.get(key))
    writer.join()
    assert set(seen) <= set(versions)


@pytest.fixture
def disk_objects(tmp_path: Path) -> DiskObjects:
    return DiskObjects(tmp_path / "objects", b"secret")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "uploads",
        "uploads/",
        "uploads/../../outside",
        "uploads/a/../../../outside",
        "../outside",
        "/outside",
        "uploads//outside",
        "uploads/./a",
        "uploads/a\0b",
        "tmp/a",
        "outside/a",
    ],
)
def test_no_key_leads_out_of_the_folder(disk_objects: DiskObjects, key: str, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("untouched")
    for use in (
        disk_objects.get,
        disk_objects.size,
        disk_objects.source,
        lambda key: disk_objects.put(key, b"x"),
        lambda key: disk_objects.presign_put(key, 1, 1),
        lambda key: disk_objects.presign_get(key, 1, "a"),
    ):
        with pytest.raises(ValueError, match="is not the key of an object"):
            use(key)
    assert (tmp_path / "outside").read_text() == "untouched"


@pytest.mark.parametrize("prefix", ["", "uploads/", "uploads/../", "../"])
def test_what_is_not_of_one_job_cannot_be_deleted(disk_objects: DiskObjects, prefix: str) -> None:
    with pytest.raises(ValueError, match="is not the key of an object"):
        disk_objects.delete(prefix)


def test_a_draft_that_must_not_overwrite_does_not(disk_objects: DiskObjects) -> None:
    disk_objects.put(keys.upload(JOB, "a.mp4"), b"first")
    with disk_objects.draft(keys.upload(JOB, "a.mp4")) as draft:
        draft.write(b"second")
        with pytest.raises(FileExistsError):
            draft.publish(overwrite=False)
    assert disk_objects.get(keys.upload(JOB, "a.mp4")) == b"first"
    assert list((disk_objects.root / "tmp").iterdir()) == []


def test_one_of_many_drafts_wins(disk_objects: DiskObjects) -> None:
    outcomes: list[str] = []
    together = threading.Barrier(8)

    def publish(draft: Draft, name: bytes) -> None:
        with draft:
            draft.write(name)
            together.wait()
            try:
                draft.publish(overwrite=False)
                outcomes.append(name.decode())
            except FileExistsError:
                outcomes.append("")

    key = keys.upload(JOB, "a.mp4")
    threads = [threading.Thread(target=publish, args=(disk_objects.draft(key), b"%d" % n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    assert [name for name in outcomes if name] == [disk_objects.get(key).decode()]


def test_what_a_killed_process_left_is_cleared(disk_objects: DiskObjects) -> None:
    left = disk_objects.draft(keys.upload(JOB, "a.mp4"))
    left.write(b"half")
    (disk_objects.root / "tmp" / "doomed" / "deep").mkdir(parents=True)
    disk_objects.clear_unfinished()
    assert list((disk_objects.root / "tmp").iterdir()) == []
    left.__exit__(None, None, None)


def test_room_is_asked_for_before(disk_objects: DiskObjects) -> None:
    disk_objects.require_room(1)
    with pytest.raises(DiskFull):
        disk_objects.require_room(10**15)


def test_a_draft_that_does_not_fit_leaves_nothing(disk_objects: DiskObjects) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size, limit in ((1_500_000, 1_000_000), (3000, 2000)):  # more than is buffered, and less
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
            with pytest.raises(DiskFull):
                disk_objects.put(keys.upload(JOB, "a.mp4"), bytes(size))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert disk_objects.size(keys.upload(JOB, "a.mp4")) is None
        assert list((disk_objects.root / "tmp").iterdir()) == []


def test_urls_are_had_within_a_request_only(disk_objects: DiskObjects) -> None:
    with pytest.raises(LookupError):
        Context().run(disk_objects.presign_put, keys.upload(JOB, "a.mp4"), 1, 60)


def test_urls_lead_to_where_the_caller_came_from(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path, b"secret", clock=lambda: 1000.9)
    reset = signing.base_url.set("https://media.example:8443")
    try:
        upload = objects.presign_put("uploads/j/week 1/50%+.mp4", 3, 60)
        download = objects.presign_get("transcripts/j/é.txt", 60, 'é "1".txt')
    finally:
        signing.base_url.reset(reset)
    assert upload.method == "PUT"
    assert upload.headers == {"Content-Length": "3"}
    # The signatures are what `openssl dgst -sha256 -hmac secret` makes of the method, the key and the query as JSON.
    assert upload.url == (
        "https://media.example:8443/objects/uploads/j/week%201/50%25%2B.mp4?size=3&expires=1060"
        "&signature=16cd4c66dd3562772a394c7190550c9ec4d45ad0e77d8fd582bd2f07a4268e40"
    )
    assert download == (
        "https://media.example:8443/objects/transcripts/j/%C3%A9.txt?filename=%C3%A9%20%221%22.txt&expires=1060"
        "&signature=b40b8f373a1ec1aaefc696246f3657bd565c73a8326601e84ec2625620f4353e"
    )
