"""Corrected transcripts: each is kept as a version of its own, and the formats are written anew from it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field, FiniteFloat

from chalicelib import answers, ids, keys, views
from chalicelib.errors import conflict, not_found
from chalicelib.fields import LONGEST_SECONDS, Count, Request
from chalicelib.formats import store
from chalicelib.idempotency import digest
from chalicelib.indexing import update
from chalicelib.jobs import Claim, Job, MediaFile
from chalicelib.ports import ObjectMissing
from chalicelib.retiming import aligned, moved
from chalicelib.service import Service
from chalicelib.speakers import known_as
from chalicelib.transcript import Segment
from chalicelib.validation import field_error, parsed, wrong_fields
from chalicelib.versions import known, read
from chalicelib.wording import joined, tidied

MAX_CHARACTERS = 10_000
MAX_SEGMENTS = 500_000
MAX_SPEAKERS = 1000
MAX_JOINED = 100
MAX_PARTS = 100
# For so long nobody else can save: twice what an answer may take on AWS.
SAVING_SECONDS = 60
OTHERS_CHANGES = "Somebody else has saved a newer version meanwhile. Load it and make your changes again."
Seconds = Annotated[FiniteFloat, Field(ge=0, le=LONGEST_SECONDS)]
Speaker = Annotated[str, AfterValidator(known_as)]


class EditedSegment(Request):
    """Segment number `id` of the base with what is given changed, or a new one, of which text and times are given.

    `through` joins it with those that follow, up to that number. Where several take the same segment, it is divided
    among them: each has text, start and end, and the words that begin in its time.
    """

    id: Count | None = None
    through: Count | None = None
    text: Annotated[str, Field(max_length=MAX_CHARACTERS)] | None = None
    start: Seconds | None = None
    end: Seconds | None = None
    speaker: Speaker | None = None


class Edit(Request):
    """The transcript from now on: `segments` made of those of the version `base`, or all of that as it is.

    `replaces` is the version that the editor saw as the current one; `base` is the same unless told. `speakers` are new
    names of speakers in the base, by their names there.
    """

    replaces: str
    base: str | None = None
    segments: Annotated[list[EditedSegment], Field(max_length=MAX_SEGMENTS)] | None = None
    speakers: Annotated[dict[str, Speaker], Field(max_length=MAX_SPEAKERS)] | None = None


def versions(service: Service, owner: str, job_id: str, n: str) -> answers.Versions:
    """The versions of a transcript, oldest first: the last is the current one."""
    job, file = service.transcribed(owner, job_id, n)
    return {"versions": [_described(id) for id in known(service.objects, job.id, file.n)]}


def version_url(service: Service, owner: str, job_id: str, n: str, version: str) -> str:
    """Where a version can be read for a while, as `Transcript` in JSON."""
    job, file = service.transcribed(owner, job_id, n)
    if version not in known(service.objects, job.id, file.n):
        raise not_found("version")
    name = f"{PurePosixPath(file.output).name}.{version}.json"
    return service.objects.presign_get(keys.version(job.id, file.n, version), service.settings.url_seconds, name)


def edit(service: Service, owner: str, job_id: str, n: str, body: str | bytes) -> answers.Versions:
    """Makes a new version the current one and answers with the versions. Raises Problem."""
    job, file = service.transcribed(owner, job_id, n)
    asked = parsed(Edit, body)
    there = known(service.objects, job.id, file.n)
    if not there:
        raise conflict("This transcript was made before transcripts could be edited. Transcribe the file again.")
    if asked.replaces not in there:
        raise conflict(OTHERS_CHANGES)
    base = asked.base or asked.replaces
    if base not in there:
        raise wrong_fields(field_error("base", "must be one of the transcript's versions"))
    try:
        transcript = read(service.objects, job.id, file.n, base)
    except ObjectMissing:
        raise not_found("version") from None
    segments = _renamed(transcript.segments, asked.speakers or {})
    if asked.segments is not None:
        segments = _edited(segments, asked.segments)
    transcript = transcript.model_copy(update={"segments": tidied(segments)})
    version = _new_version(service, job, file, asked.replaces, body)
    there = known(service.objects, job.id, file.n)
    if not there:
        raise not_found("job")  # It was deleted meanwhile.
    if there[-1] == asked.replaces:
        store(service.objects, job, file, transcript)
        # After the formats, so that what broke off before can be sent again.
        service.objects.put(keys.version(job.id, file.n, version), transcript.model_dump_json().encode())
        there.append(version)
    elif ids.event_of(there[-1]) != ids.event_of(version):
        raise conflict(OTHERS_CHANGES)
    update(service.objects, service.index, job, file.n)
    return {"versions": [_described(id) for id in there]}


def _new_version(service: Service, job: Job, file: MediaFile, replaced: str, body: str | bytes) -> str:
    """The id of what a request makes of a version, the same but for its time if it is sent again. Raises Problem if
    another one that does so is being answered.
    """
    now = service.clock()
    first = Claim(
        id=digest(json.dumps(["edit", job.id, file.n, replaced])),
        job=job.id,
        request_sha256=digest(body),
        created_at=now,
        expires_at=now + SAVING_SECONDS,
    )
    found = service.records.claim(first, now)
    if found.request_sha256 != first.request_sha256:
        raise conflict(OTHERS_CHANGES)
    after = ids.time_of(replaced) + 0.001 if ids.is_job_id(replaced) else 0.0
    return ids.event_job_id(max(found.created_at, after), job.id, str(file.n), first.request_sha256)


def _described(id: str) -> answers.Version:
    return {"id": id, "created_at": None if id == keys.ORIGINAL else views.time(ids.time_of(id))}


def _renamed(base: Sequence[Segment], names: Mapping[str, str]) -> list[Segment]:
    """The segments with the speakers' new names. Raises Problem if there is no speaker of an old name."""
    there = dict.fromkeys(segment.speaker for segment in base if segment.speaker is not None)
    unknown = [name for name in names if name not in there]
    if unknown:
        raise wrong_fields(
            *(field_error("speakers", f"must name speakers of the base, not {name!r}") for name in unknown)
        )
    new = {name: names.get(name, name) for name in there}
    return [
        segment if segment.speaker is None else segment.model_copy(update={"speaker": new[segment.speaker]})
        for segment in base
    ]


def _edited(base: Sequence[Segment], asked: Sequence[EditedSegment]) -> list[Segment]:
    """The segments asked for, in order of time. Raises Problem."""
    made: list[Segment] = []
    errors = []
    taken: Counter[int] = Counter()
    for index, wanted in enumerate(asked):
        wrong = _wrong_numbers(wanted, len(base))
        if wrong:
            errors.append(field_error(f"segments[{index}].{wrong[0]}", wrong[1]))
        else:
            taken.update(_numbers(wanted))
    number, parts = max(taken.items(), key=lambda item: item[1], default=(0, 0))
    if parts > MAX_PARTS:
        errors.append(field_error("segments", f"must not take segment {number} more than {MAX_PARTS} times"))
    if errors:
        raise wrong_fields(*errors)
    for index, wanted in enumerate(asked):
        field = f"segments[{index}]"
        numbers = _numbers(wanted)
        divided = any(taken[number] > 1 for number in numbers)
        segment = _changed([base[number] for number in numbers], wanted, divided)
        if segment is None:
            needed = "text, start and end, since another takes the same" if divided else "an id, or text, start and end"
            errors.append(field_error(field, f"must have {needed}"))
        elif wanted.through is not None and len(segment.text) > MAX_CHARACTERS:
            errors.append(
                field_error(f"{field}.through", f"must not make a text of more than {MAX_CHARACTERS} characters")
            )
        elif segment.end < segment.start:
            errors.append(field_error(f"{field}.end", "must not be before its start"))
        else:
            made.append(segment)
    if errors:
        raise wrong_fields(*errors)
    return sorted(made, key=lambda segment: segment.start)


def _wrong_numbers(wanted: EditedSegment, count: int) -> tuple[str, str] | None:
    """Which field names no segments of the base, and what it must be."""
    if wanted.id is not None and wanted.id >= count:
        return "id", f"must be less than {count}, the segments of the base"
    if wanted.through is None:
        return None
    first = count if wanted.id is None else wanted.id
    if not first <= wanted.through < min(count, first + MAX_JOINED):
        return "through", f"must be the number of a segment, the id or at most {MAX_JOINED - 1} more"
    return None


def _numbers(wanted: EditedSegment) -> range:
    """Those of the base's segments that it is made of."""
    if wanted.id is None:
        return range(0)
    return range(wanted.id, (wanted.id if wanted.through is None else wanted.through) + 1)


def _changed(old: Sequence[Segment], wanted: EditedSegment, divided: bool) -> Segment | None:
    """`old` are what it is made of, `divided` whether another takes of them as well; `None` if a field lacks."""
    if (divided or not old) and (wanted.text is None or wanted.start is None or wanted.end is None):
        return None
    start = old[0].start if wanted.start is None else wanted.start
    last = max((segment.end for segment in old), default=start)
    end = last if wanted.end is None else wanted.end
    text = joined([segment.text for segment in old]) if wanted.text is None else wanted.text
    words = [word for segment in old for word in segment.words]
    if divided:
        words = [word for word in words if start <= word.start < end]
    elif old:
        words = moved(Segment(start=old[0].start, end=last, text=text, words=words), start, end)
    speaker = next((segment.speaker for segment in old), None) if wanted.speaker is None else wanted.speaker
    as_it_was = not divided and text == joined([segment.text for segment in old])
    words = words if as_it_was else aligned(words, text, end)
    return Segment(start=start, end=end, text=text, speaker=speaker, words=words)
