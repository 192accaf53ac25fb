"""Uploading a file in parts, which goes on after a crash, on another network, on another day.

Each part is a signed request of its own, good for one size and one CRC-32. What has arrived is asked of the store, so
nothing but the id of the upload is recorded.
"""

import base64
import binascii
from http import HTTPStatus
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from chalicelib import answers, views
from chalicelib.errors import Problem, conflict
from chalicelib.fields import Request, Whole
from chalicelib.jobs import FileState, MediaFile
from chalicelib.parts import MOST_PARTS, Layout
from chalicelib.ports import NoRoom, ObjectExists, Part, PartsDiffer, UploadMissing
from chalicelib.service import Service
from chalicelib.validation import field_error, parsed, wrong_fields

MOST_ASKED = 100
SHOWN = 5


def crc32(text: str) -> str:
    try:
        valid = len(base64.b64decode(text, validate=True)) == 4
    except (binascii.Error, ValueError):
        valid = False
    if not valid:
        raise ValueError("must be the base64 of the part's CRC-32, 4 bytes big-endian, such as 'y/Q5Jg=='")
    return text


class WantedPart(Request):
    """A part to upload: its number, from 1, and the CRC-32 of its bytes, without which it is not taken."""

    number: Annotated[int, Field(ge=1, le=MOST_PARTS), Whole]
    crc32: Annotated[str, AfterValidator(crc32), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9+/]{6}==$"})]


class WantedParts(Request):
    """The parts to upload; none to ask for what is there."""

    parts: Annotated[list[WantedPart], Field(max_length=MOST_ASKED, default_factory=list)]


class SentPart(Request):
    """A part that was uploaded, and the ETag that the answer to it had."""

    number: Annotated[int, Field(ge=1, le=MOST_PARTS), Whole]
    etag: Annotated[str, Field(max_length=200)]


class SentParts(Request):
    """All parts of a file."""

    parts: Annotated[list[SentPart], Field(min_length=1, max_length=MOST_PARTS)]


def parts(service: Service, owner: str, job_id: str, n: str, body: str | bytes) -> answers.Parts:
    """How the file is divided, the requests that upload the parts asked for, and which of these are there already.

    If none is asked for, all that are there are told. The first time begins the upload.
    """
    _, file = service.find_awaited(owner, job_id, n)
    wanted = parsed(WantedParts, body).parts
    layout = Layout(file.size)
    beyond = [number for number, part in enumerate(wanted) if part.number > layout.count]
    if beyond:
        raise wrong_fields(
            *(field_error(f"parts[{number}].number", f"must not be more than {layout.count}") for number in beyond)
        )
    numbers = [part.number for part in wanted] or [1, layout.count]
    upload, stored = _begun(service, file, min(numbers), max(numbers))
    if wanted:
        stored = [part for part in stored if part.number in numbers]
    seconds = service.settings.url_seconds
    return {
        **views.multipart(layout),
        "stored": [views.part(part) for part in stored],
        "uploads": [
            {
                "number": part.number,
                **views.upload(
                    service.objects.presign_part(file.key, upload, layout.span(part.number), part.crc32, seconds)
                ),
            }
            for part in wanted
        ],
    }


def complete(service: Service, owner: str, job_id: str, n: str, body: str | bytes) -> answers.File:
    """Makes the file of its parts, and answers with it; harmless if that was done before."""
    job, file = service.find_file(owner, job_id, n)
    sent = {part.number: part.etag.strip('"') for part in parsed(SentParts, body).parts}
    if file.state == FileState.AWAITING_UPLOAD:
        _complete(service, service.find_awaited(owner, job_id, n)[1], sent)
        job, file = service.find_file(owner, job_id, n)
    return views.file(job.shown(file), job.options.formats)


def abort(service: Service, owner: str, job_id: str, n: str) -> None:
    """Discards what has been uploaded of a file; it can be uploaded anew."""
    _, file = service.find_awaited(owner, job_id, n)
    if file.multipart is not None:
        service.objects.abort_parts(file.key, file.multipart)
        service.records.set_multipart(file, None)


def _begun(service: Service, file: MediaFile, first: int, last: int) -> tuple[str, list[Part]]:
    """The id of the file's upload, which is begun if there is none, and the parts from `first` to `last` it has."""
    if file.multipart is not None:
        try:
            return file.multipart, service.objects.parts(file.key, file.multipart, first, last)
        except UploadMissing:
            if _take_note(service, file):
                raise conflict("This file has been uploaded already.") from None
    begun = _begin(service, file)
    recorded = service.records.set_multipart(file, begun)
    if recorded is not None:
        return begun, []
    # Somebody else was quicker, and what they have begun is the one that counts.
    service.objects.abort_parts(file.key, begun)
    now = service.records.file(file.job, file.n)
    if now is None or now.state != FileState.AWAITING_UPLOAD or now.multipart in (None, file.multipart):
        raise conflict("This file was changed at the same time. Try again.")
    return _begun(service, now, first, last)


def _begin(service: Service, file: MediaFile) -> str:
    try:
        return service.objects.begin_parts(file.key, file.size)
    except NoRoom:
        raise Problem(
            HTTPStatus.INSUFFICIENT_STORAGE,
            f"There is no room for these {file.size} bytes. Send the file again when there is room.",
        ) from None


def _complete(service: Service, file: MediaFile, sent: dict[int, str]) -> None:
    try:
        if file.multipart is None:
            raise UploadMissing
        stored = service.objects.parts(file.key, file.multipart)
        _check(Layout(file.size).count, sent, {part.number: part.etag for part in stored})
        service.objects.complete_parts(file.key, file.multipart, stored)
    except UploadMissing:
        if not _take_note(service, file):
            raise conflict("There are no parts of this file. Send them: POST /jobs/<id>/files/<n>/parts.") from None
    except PartsDiffer:
        raise conflict("The parts changed meanwhile. Ask which are there: POST /jobs/<id>/files/<n>/parts.") from None
    except ObjectExists:
        service.objects.abort_parts(file.key, file.multipart or "")
        _take_note(service, file)
    else:
        _take_note(service, file)


def _check(count: int, sent: dict[int, str], stored: dict[int, str]) -> None:
    """Raises a Problem unless all parts were sent, and those that were sent are stored."""
    unnamed = [number for number in range(1, count + 1) if number not in sent]
    if unnamed or len(sent) > count:
        lacking = f", and lacks {_listed(unnamed)}" if unnamed else ""
        raise wrong_fields(field_error("parts", f"must name each part from 1 to {count} with its ETag{lacking}"))
    lost = [number for number in sent if sent[number] != stored.get(number)]
    if lost:
        raise conflict(f"Not there with these ETags: {_listed(lost)}. Send them: POST /jobs/<id>/files/<n>/parts.")


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:SHOWN]))
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return f"{'part' if len(numbers) == 1 else 'parts'} {shown}{more}"


def _take_note(service: Service, file: MediaFile) -> bool:
    """Whether the file's object is there; then the event of its arrival is delivered, which may come twice."""
    size = service.objects.size(file.key)
    if size is None:
        return False
    service.object_created(file.key, size)
    return True
