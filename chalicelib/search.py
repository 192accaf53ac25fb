"""Finding what was said in all transcripts of an owner."""

from collections.abc import Iterable, Iterator

from chalicelib import answers
from chalicelib.jobs import Job
from chalicelib.ports import Passage, Records, UnknownCursor
from chalicelib.service import Service
from chalicelib.terms import marks, phrases
from chalicelib.validation import field_error, page_size, wrong_cursor, wrong_fields

MAX_QUERY = 200
MAX_TERMS = 20
PAGE = 20
MAX_PAGE = 50
# Characters of a passage that are shown: some before what was found, then the rest.
SNIPPET = 240
BEFORE = 60


def search(service: Service, owner: str, query: str | None, cursor: str | None, limit: str | None) -> answers.Hits:
    """Passages of the owner's transcripts that hold all words of `query`, newest first. Raises Problem.

    A page may have fewer hits than `limit`, or none, and others follow it all the same: `next` alone tells.
    """
    wanted = phrases(query or "")
    if not wanted or len(query or "") > MAX_QUERY or sum(map(len, wanted)) > MAX_TERMS:
        raise wrong_fields(
            field_error(
                "q", f"must hold words to search for, in at most {MAX_QUERY} characters, and no more than {MAX_TERMS}"
            )
        )
    count = page_size(limit, PAGE, MAX_PAGE)
    try:
        found = service.index.find(owner, wanted, count, cursor)
    except UnknownCursor:
        raise wrong_cursor() from None
    jobs = {id: service.records.job(id) for id in {passage.job for passage in found.passages}}
    # The index may have what was deleted a moment ago; the records have not.
    own = {id: job for id, job in jobs.items() if job is not None and job.owner == owner}
    paths = dict(_paths(service.records, [passage for passage in found.passages if passage.job in own]))
    hits = [
        _hit(own[passage.job], paths[passage.job, passage.n], passage, marks(passage.text, wanted))
        for passage in found.passages
        if (passage.job, passage.n) in paths
    ]
    return {"hits": hits, "next": found.next}


def _paths(records: Records, found: Iterable[Passage]) -> Iterator[tuple[tuple[str, int], str]]:
    numbers: dict[str, set[int]] = {}
    for passage in found:
        numbers.setdefault(passage.job, set()).add(passage.n)
    for job, wanted in numbers.items():
        for file in records.files_numbered(job, wanted):
            yield (job, file.n), file.path


def _hit(job: Job, path: str, passage: Passage, found: list[tuple[int, int]]) -> answers.Hit:
    first = found[0][0]
    start, end = _excerpt(passage.text, first)
    return {
        "job": job.id,
        "title": job.title,
        "file": passage.n,
        "path": path,
        "start": _second(passage, first),
        "snippet": passage.text[start:end],
        "marks": [[max(a, start) - start, min(b, end) - start] for a, b in found if a < end],
        "before": start > 0,
        "after": end < len(passage.text),
    }


def _excerpt(text: str, first: int) -> tuple[int, int]:
    """From and to which character a text is shown so that `first` is, cut between words where there are spaces."""
    start = max(0, min(first - BEFORE, len(text) - SNIPPET))
    if start:
        start = max(start, text.find(" ", start, first) + 1)
    end = min(len(text), start + SNIPPET)
    if end < len(text):
        end = max(text.rfind(" ", first, end), 0) or end
    return start, end


def _second(passage: Passage, character: int) -> float:
    """When that character is said."""
    end = 0
    second = passage.pieces[0][0]
    for start, piece in passage.pieces:
        end += len(piece)
        second = start
        if character < end:
            break
    return second
