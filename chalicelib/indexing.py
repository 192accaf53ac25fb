"""What of the transcripts is kept to be searched: an index, filled with each transcript and made again from them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from itertools import takewhile

from chalicelib import versions
from chalicelib.jobs import FileState, Job
from chalicelib.ports import Index, ObjectMissing, Objects, Passage, Pieces, Records
from chalicelib.records import every_file
from chalicelib.terms import Phrase, marks
from chalicelib.transcript import Segment
from chalicelib.wording import slices, spaced

CLOSE_SECONDS = 5.0
MOST_FOLLOWING = 5
"""So many passages may follow the one with which what is found begins."""
PAGE = 100


def passages(segments: Sequence[Segment]) -> list[Pieces]:
    """Each segment as its pieces, which joined are its text, and the second at which each begins."""
    made: list[Pieces] = []
    for segment in segments:
        cut = slices(segment)
        starts = [word.start for word in segment.words] if cut else [segment.start]
        made.append([(round(start, 2), piece) for start, piece in zip(starts, cut or [segment.text], strict=True)])
    return made


def reaching(pieces: Pieces, following: Iterable[Pieces]) -> Pieces:
    """A passage and what is said of the following ones until `CLOSE_SECONDS` after the start of its last word."""
    end = pieces[-1][0] + CLOSE_SECONDS
    for later in following:
        close = list(takewhile(lambda piece: piece[0] <= end, later))
        pieces = _joined(pieces, close)
        if len(close) < len(later):
            break
    return pieces


def holding(passage: Passage, following: Iterable[Pieces], wanted: Sequence[Phrase]) -> Passage | None:
    """The passage, with as many of the following ones as it takes to hold all that is wanted close together.

    `None` if they don't, or if what follows does without the passage, and so is found itself. No more of `following`
    is asked for than is looked at.
    """
    end = passage.pieces[-1][0] + CLOSE_SECONDS
    near = takewhile(lambda later: later[0][0] <= end, following)
    added: list[Pieces] = []
    close = passage.pieces
    while not _hold(close, wanted):
        later = next(near, None)
        if later is None:
            return None
        added.append(later)
        close = reaching(passage.pieces, added)
    if added and (_hold(close[len(passage.pieces) :], wanted) or _hold(added[-1], wanted)):
        return None
    whole = reduce(_joined, added, passage.pieces)
    # In scripts without spaces a piece may end within a term: what is close then has one that is not in the whole.
    return replace(passage, pieces=whole) if _hold(whole, wanted) else None


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


def _hold(pieces: Pieces, wanted: Sequence[Phrase]) -> bool:
    return bool(marks("".join(text for _, text in pieces), wanted))


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
