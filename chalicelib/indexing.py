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
    """Takes all transcripts of an owner into the index anew, those of older jobs first; how many."""
    jobs = (records.job(id) for id in reversed(list(_every_job(records, owner))))
    files = ((job, file) for job in jobs if job is not None for file in every_file(records, job.id))
    return sum(_put(objects, index, job, file.n) for job, file in files if file.state == FileState.SUCCEEDED)


def _put(objects: Objects, index: Index, job: Job, n: int) -> bool:
    """Whether there is a transcript to be searched."""
    known = versions.known(objects, job.id, n)
    try:
        current = versions.read(objects, job.id, n, known[-1]) if known else None
    except ObjectMissing:
        return False  # It was deleted meanwhile.
    if current is None:
        return False
    index.put(job, n, passages(current.segments))
    return True


def _every_job(records: Records, owner: str) -> Iterator[str]:
    """The ids of an owner's jobs, newest first."""
    before = None
    while page := records.jobs(owner, PAGE, before):
        yield from (job.id for job in page)
        before = page[-1].id
