"""Objects in two S3 buckets: what comes in, and what the service makes of it."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import keys
from chalicelib.parts import MOST_PARTS, Span
from chalicelib.ports import ObjectExists, ObjectMissing, Part, PartsDiffer, Upload, UploadMissing

# S3 takes 10,000 parts of at least 5 MiB: parts of this size hold 29 days of 16 kHz samples.
PART_BYTES = 8 * 2**20
# A URL for ffmpeg outlives the 900 s of the function that reads from it.
SOURCE_SECONDS = 3600
MISSING = ("404", "NoSuchKey")
# How many parts S3 lists at a time.
PAGE = 1000
UPLOAD_ERRORS = {
    "NoSuchUpload": UploadMissing,
    "InvalidPart": PartsDiffer,
    "PreconditionFailed": ObjectExists,
    "ConditionalRequestConflict": PartsDiffer,
}


@dataclass(frozen=True)
class S3Objects:
    """`chalicelib.ports.Objects` in the bucket `media` (uploads and drop-in folders) and the bucket `transcripts`.

    `client` is boto3's for S3. Its role needs `s3:ListBucket`: S3 calls a missing object forbidden without it. URLs die
    with the credentials of the role that signed them, should those end sooner.
    """

    client: Any
    media: str
    transcripts: str

    def presign_put(self, key: str, size: int, seconds: int) -> Upload:
        condition = {"ContentLength": size, "IfNoneMatch": "*"}
        url = self._presigned("put_object", key, seconds, condition)
        return Upload("PUT", url, {"Content-Length": str(size), "If-None-Match": "*"})

    def begin_parts(self, key: str, size: int) -> str:  # noqa: ARG002
        upload: str = self.client.create_multipart_upload(**self._name(key), ChecksumAlgorithm="CRC32")["UploadId"]
        return upload

    def presign_part(self, key: str, upload: str, span: Span, crc32: str, seconds: int) -> Upload:
        part = {"UploadId": upload, "PartNumber": span.number}
        url = self._presigned("upload_part", key, seconds, {**part, "ContentLength": span.size, "ChecksumCRC32": crc32})
        return Upload("PUT", url, {"Content-Length": str(span.size), "x-amz-checksum-crc32": crc32})

    def parts(self, key: str, upload: str, first: int = 1, last: int = MOST_PARTS) -> list[Part]:
        with _upload_errors(key):
            found = self._listed(key, upload, first - 1, last)
            return [_part(part) for part in itertools.takewhile(lambda part: part["PartNumber"] <= last, found)]

    def complete_parts(self, key: str, upload: str, parts: Sequence[Part]) -> None:
        stored = [
            {"PartNumber": part.number, "ETag": part.etag, **({"ChecksumCRC32": part.crc32} if part.crc32 else {})}
            for part in parts
        ]
        with _upload_errors(key):
            self.client.complete_multipart_upload(
                **self._name(key), UploadId=upload, MultipartUpload={"Parts": stored}, IfNoneMatch="*"
            )

    def abort_parts(self, key: str, upload: str) -> None:
        with suppress(UploadMissing), _upload_errors(key):
            self.client.abort_multipart_upload(**self._name(key), UploadId=upload)

    def presign_get(self, key: str, seconds: int, filename: str) -> str:
        return self._presigned("get_object", key, seconds, {"ResponseContentDisposition": attachment(filename)})

    def source(self, key: str) -> str:
        self._require(key)
        return self._presigned("get_object", key, SOURCE_SECONDS, {})

    def origins(self) -> tuple[str, ...]:
        """Scheme and host of the signed URLs."""
        signed = (
            self._presigned("get_object", prefix, SOURCE_SECONDS, {}) for prefix in (keys.UPLOADS, keys.TRANSCRIPTS)
        )
        return tuple("{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in signed)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(**self._name(key), Body=data)

    def put_stream(self, key: str, blocks: Iterable[bytes]) -> None:
        parts = _parts(blocks)
        first = next(parts)
        if len(first) < PART_BYTES:
            self.put(key, first)
            return
        upload = {**self._name(key), "UploadId": self.client.create_multipart_upload(**self._name(key))["UploadId"]}
        try:
            parts = filter(None, itertools.chain([first], parts))
            stored = [self._put_part(upload, number, part) for number, part in enumerate(parts, 1)]
            self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": stored})
        except BaseException:
            # What went wrong first is what counts; the bucket's lifecycle takes away what cannot be aborted.
            with suppress(BotoCoreError, ClientError):
                self.client.abort_multipart_upload(**upload)
            raise

    def get(self, key: str) -> bytes:
        return self._get(key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        if length == 0:
            self._require(key)
            return b""
        try:
            return self._get(key, Range=f"bytes={start}-{start + length - 1}")
        except ClientError as error:
            if _code(error) == "InvalidRange":
                return b""
            raise

    def size(self, key: str) -> int | None:
        try:
            answer = self.client.head_object(**self._name(key))
        except ClientError as error:
            if _code(error) in MISSING:
                return None
            raise
        size: int = answer["ContentLength"]
        return size

    def keys(self, prefix: str) -> Iterator[str]:
        return (key for key, _ in self.sizes(prefix))

    def sizes(self, prefix: str) -> Iterator[tuple[str, int]]:
        return itertools.chain.from_iterable(self._pages(prefix))

    def remove(self, key: str) -> None:
        self.client.delete_object(**self._name(key))

    def delete(self, prefix: str) -> None:
        if prefix.count("/") < 2 or not prefix.endswith("/"):
            raise ValueError(f"{prefix!r} is not the prefix of one job's objects")
        for page in self._pages(prefix):
            doomed = {"Objects": [{"Key": key} for key, _ in page], "Quiet": True}
            failed = self.client.delete_objects(Bucket=self._bucket(prefix), Delete=doomed).get("Errors")
            if failed:
                raise OSError(f"S3 could not delete {len(failed)} objects, such as {failed[0]}")
        if prefix.startswith(keys.UPLOADS):
            self._abort_all(prefix)

    def _listed(self, key: str, upload: str, after: int, last: int) -> Iterator[dict[str, Any]]:
        """The stored parts from the one after number `after`, at least to number `last`."""
        more = True
        while more and after < last:
            where = {"PartNumberMarker": after, "MaxParts": min(PAGE, last - after)}
            page = self.client.list_parts(**self._name(key), UploadId=upload, **where)
            yield from page.get("Parts", [])
            more, after = page["IsTruncated"], page["NextPartNumberMarker"]

    def _abort_all(self, prefix: str) -> None:
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.media, Prefix=prefix)
        for upload in [upload for page in pages for upload in page.get("Uploads", [])]:
            self.abort_parts(upload["Key"], upload["UploadId"])

    def _require(self, key: str) -> None:
        if self.size(key) is None:
            raise ObjectMissing(key)

    def _pages(self, prefix: str) -> Iterator[list[tuple[str, int]]]:
        """The keys that begin with `prefix`, and sizes, at most 1,000 at a time."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket(prefix), Prefix=prefix)
        for page in pages:
            if "Contents" in page:
                yield [(found["Key"], found["Size"]) for found in page["Contents"]]

    def _get(self, key: str, **how: str) -> bytes:
        try:
            data: bytes = self.client.get_object(**self._name(key), **how)["Body"].read()
        except ClientError as error:
            if _code(error) in MISSING:
                raise ObjectMissing(key) from None
            raise
        return data

    def _put_part(self, upload: dict[str, str], number: int, part: bytes) -> dict[str, Any]:
        return {"PartNumber": number, "ETag": self.client.upload_part(**upload, PartNumber=number, Body=part)["ETag"]}

    def _presigned(self, action: str, key: str, seconds: int, conditions: dict[str, Any]) -> str:
        request = {**self._name(key), **conditions}
        url: str = self.client.generate_presigned_url(action, Params=request, ExpiresIn=seconds)
        return url

    def _name(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket(key), "Key": key}

    def _bucket(self, key: str) -> str:
        return self.media if key.startswith((keys.UPLOADS, keys.INBOX)) else self.transcripts


def attachment(filename: str) -> str:
    """The Content-Disposition of a download (RFC 6266): the name as it is (RFC 8187), and in ASCII for old programs."""
    plain = "".join(character if " " <= character <= "~" and character not in '"\\%' else "_" for character in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _parts(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """`blocks` joined to parts of at least `PART_BYTES` but for the last, which may be empty."""
    part = bytearray()
    for block in blocks:
        part += block
        if len(part) >= PART_BYTES:
            yield bytes(part)
            part.clear()
    yield bytes(part)


def _part(listed: dict[str, Any]) -> Part:
    return Part(listed["PartNumber"], listed["Size"], listed["ETag"].strip('"'), listed.get("ChecksumCRC32"))


@contextmanager
def _upload_errors(key: str) -> Iterator[None]:
    """What S3 says of an upload in parts, in the words of the port."""
    try:
        yield
    except ClientError as error:
        known = UPLOAD_ERRORS.get(_code(error))
        if known is None:
            raise
        raise known(key) from None


def _code(error: ClientError) -> str:
    code: str = error.response["Error"]["Code"]
    return code
