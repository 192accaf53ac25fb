"""What of the transcripts is kept to be searched: an index, filled with each transcript and made again from them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from chalicelib import versions
from chalicelib.jobs import FileState, Job
from chalicelib.ports import Index, ObjectMissing, Objects, Passage, Pieces, Records
from chalicelib.records import every_file
from chalicelib.terms import Phrase, marks
from chalicelib.transcript import Segment
from chalicelib.wording import slices, spaced

CLOSE_SECONDS = 5.0
PAGE = 100


def passages(segments: Sequence[Segment]) -> list[Pieces]:
    """Each segment as its pieces, which joined are its text, and the second at which each begins."""
    made: list[Pieces] = []
    for segment in segments:
        cut = slices(segment)
        starts = [word.start for word in segment.words] if cut else [segment.start]
        made.append([(round(start, 2), piece) for start, piece in zip(starts, cut or [segment.text], strict=True)])
    return made


def reaching(pieces: Pieces, following: Pieces) -> Pieces:
    """A passage and what is said of the following one until `CLOSE_SECONDS` after the start of its last word."""
    end = pieces[-1][0] + CLOSE_SECONDS
    return _joined(pieces, list(takewhile(lambda piece: piece[0] <= end, following)))


def holding(passage: Passage, following: Pieces, wanted: Sequence[Phrase]) -> Passage | None:
    """The passage, or it and the following one together, as far as that holds all that is wanted close together.

    `None` if neither does, or the following one does by itself, which then is found itself.
    """
    if marks(passage.text, wanted):
        return passage
    close = replace(passage, pieces=reaching(passage.pieces, following))
    if not marks(close.text, wanted) or marks(replace(passage, pieces=following).text, wanted):
        return None
    return replace(passage, pieces=_joined(passage.pieces, following))


def rebuild(objects: Objects, records: Records, index: Index, owner: str) -> int:
    """Takes all transcripts of an owner into the index anew, those of older jobs first; how many."""
    jobs = (records.job(id) for id in reversed(list(_every_job(records, owner))))
    files = ((job, file) for job in jobs if job is not None for file in every_file(records, job.id))
    return sum(update(objects, index, job, file.n) for job, file in files if file.state == FileState.SUCCEEDED)


def update(objects: Objects, index: Index, job: Job, n: int) -> bool:
    """Takes the current version of a file's transcript into the index; whether there is one."""
    taken = None
    # Whoever makes a version does this after it, so of several at once the last one to write finds the newest.
    while (known := versions.known(objects, job.id, n)) and known[-1] != taken:
        taken = known[-1]
        try:
            current = versions.read(objects, job.id, n, taken)
        except ObjectMissing:
            return False  # It was deleted meanwhile.
        index.put(job, n, passages(current.segments))
    return taken is not None


def _joined(pieces: Pieces, following: Pieces) -> Pieces:
    if not following:
        return pieces
    *before, (start, text) = pieces
    space = " " if spaced(text, following[0][1]) else ""
    return [*before, (start, f"{text}{space}"), *following]


def _every_job(records: Records, owner: str) -> Iterator[str]:
    """The ids of an owner's jobs, newest first."""
    before = None
    while page := records.jobs(owner, PAGE, before):
        yield from (job.id for job in page)
        before = page[-1].id
