"""What of the transcripts is kept to be searched: an index, filled with each transcript and made again from them."""

from collections.abc import Iterator, Sequence

from chalicelib import versions
from chalicelib.jobs import FileState, Job
from chalicelib.ports import Index, ObjectMissing, Objects, Pieces, Records
from chalicelib.records import every_file
from chalicelib.transcript import Segment
from chalicelib.wording import slices

PAGE = 100


def passages(segments: Sequence[Segment]) -> list[Pieces]:
    """Each segment as its pieces, which joined are its text, and the second at which each begins."""
    made: list[Pieces] = []
    for segment in segments:
        cut = slices(segment)
        starts = [word.start for word in segment.words] if cut else [segment.start]
        made.append([(round(start, 2), piece) for start, piece in zip(starts, cut or [segment.text], strict=True)])
    return made


def rebuild(objects: Objects, records: Records, index: Index, owner: str) -> int:
    """Takes all transcripts of an owner into the index anew; how many."""
    count = 0
    for job in _every_job(records, owner):
        for file in every_file(records, job.id):
            known = versions.known(objects, job.id, file.n) if file.state == FileState.SUCCEEDED else []
            try:
                current = versions.read(objects, job.id, file.n, known[-1]) if known else None
            except ObjectMissing:
                current = None  # It was deleted meanwhile.
            if current is not None:
                index.put(job, file.n, passages(current.segments))
                count += 1
    return count


def _every_job(records: Records, owner: str) -> Iterator[Job]:
    before = None
    while page := records.jobs(owner, PAGE, before):
        yield from page
        before = page[-1].id
