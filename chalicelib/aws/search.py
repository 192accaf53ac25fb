"""What was said in all transcripts, in the DynamoDB table of the records.

| item                                      | pk                    | sk             |
|-------------------------------------------|-----------------------|----------------|
| that a term is said in file `n` of a job  | `said#<owner>#<term>` | `<job id>#<n>` |
| passages of a file, number `first` and on | `passages#<job id>`   | `<n>#<first>`  |

Numbers have leading zeros. `at` of a term has the numbers of the passages that it is in: of each its distance to the
one before, 7 bits a byte, the lowest first, in base64. A search goes through the files of all terms side by side, from
the newest on, skipping those that lack one, and then looks at the text of passages that have all together with those
that follow: what a change that broke off has left behind is not found.
"""

import base64
import itertools
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from chalicelib.aws.items import Item, decoded, encoded
from chalicelib.aws.records import FILE_DIGITS
from chalicelib.aws.table import DynamoTable, living
from chalicelib.indexing import MOST_FOLLOWING, holding
from chalicelib.jobs import Job
from chalicelib.ports import Found, Passage, Pieces, UnknownCursor
from chalicelib.terms import Phrase, terms

NUMBER_DIGITS = 7
# More than any file has passages.
DONE = 10**NUMBER_DIGITS - 1
# So long an item is written for few units and read for one or two.
BLOCK_CHARACTERS = 3000
# In so many passages of a file a term is found: its item stays below DynamoDB's 400 KB.
MOST_PLACES = 100_000
# Files of a term that are read at once, and requests of one search, which are some 2 seconds.
PAGE = 100
MOST_REQUESTS = 200
# A key has 2,048 at most; longer terms are in no list.
MAX_TERM_BYTES = 500
LAST = "~"
CURSOR = re.compile(r"([0-9a-z]{1,40})-(\d{8})-(\d{1,7})")


class OutOfRequests(Exception):
    """A search has made as many as it may."""


@dataclass(frozen=True)
class DynamoIndex(DynamoTable):
    """`chalicelib.ports.Index`."""

    def put(self, job: Job, n: int, said_now: Sequence[Pieces]) -> None:
        number = f"{n:0{FILE_DIGITS}}"
        blocks = list(self._blocks(job.id, number))
        before, now = _places(_said_in(blocks)), _places(said_now)
        end = living(self._expiry(job))
        listed = [
            {"pk": said(job.owner, term), "sk": f"{job.id}#{number}", "at": at, **end}
            for term, at in now.items()
            if before.get(term) != at
        ]
        texts = [
            {"pk": f"passages#{job.id}", "sk": _key(number, first), "owner": job.owner, "said": text, **end}
            for first, text in _divided(said_now)
        ]
        gone = [(said(job.owner, term), f"{job.id}#{number}") for term in before.keys() - now.keys()]
        gone += [(item["pk"], item["sk"]) for item in blocks if item["sk"] not in {text["sk"] for text in texts}]
        self._write({"PutRequest": {"Item": encoded(item)}} for item in [*listed, *texts])
        self._delete(gone)

    def remove(self, job: str) -> None:
        for blocks in self._files(job):
            number = blocks[0]["sk"].partition("#")[0]
            self._delete((said(blocks[0]["owner"], term), f"{job}#{number}") for term in _places(_said_in(blocks)))
            # They go last, since they tell what else there is to delete.
            self._delete((item["pk"], item["sk"]) for item in blocks)

    def find(self, owner: str, wanted: Sequence[Phrase], limit: int, after: str | None = None) -> Found:
        search = _Search(self, owner, wanted, after)
        if any(len(term.encode()) > MAX_TERM_BYTES for phrase in wanted for term in phrase):
            return Found([], None)
        found: list[Passage] = []
        reached = None
        try:
            for passage in search.passages():
                if len(found) == limit:
                    return Found(found, reached)
                found.append(passage)
                reached = search.cursor
        except OutOfRequests:
            return Found(found, search.cursor)
        return Found(found, None)

    def _files(self, job: str) -> Iterator[list[Item]]:
        """The items with the passages of a job, file by file."""
        for _, items in itertools.groupby(self._blocks(job), lambda item: item["sk"].partition("#")[0]):
            yield list(items)

    def _blocks(self, job: str, n: str = "") -> Iterator[Item]:
        """The items with the passages of a job, or of one of its files, in order."""
        values = {":pk": f"passages#{job}", ":first": n or "0", ":last": f"{n}~"}
        return self._query("pk = :pk AND sk BETWEEN :first AND :last", values)

    def _delete(self, keys: Iterable[tuple[str, str]]) -> None:
        self._write({"DeleteRequest": {"Key": encoded({"pk": pk, "sk": sk})}} for pk, sk in keys)


class _Search:
    """One search, which makes so many requests at most; what `cursor` tells of is done."""

    def __init__(self, index: DynamoIndex, owner: str, wanted: Sequence[Phrase], after: str | None) -> None:
        self._index = index
        self._wanted = wanted
        self._first, self._done = _parsed(after)
        self._requests = 0
        # Two, since the last passages of one are looked at together with the first of the next.
        self._blocks: deque[tuple[str, int, list[Pieces]]] = deque(maxlen=2)
        self._terms = [
            _Files(self, said(owner, term)) for term in sorted({term for phrase in wanted for term in phrase})
        ]
        self.cursor = _cursor(self._first, self._done)

    def passages(self) -> Iterator[Passage]:
        """Raises OutOfRequests."""
        for file, places in self._candidates():
            job, _, n = file.partition("#")
            some = set.union(*places)
            for number in sorted(some.intersection(*map(_at_or_before, places))):
                if file == self._first and number < self._done:
                    continue
                last = max(some.intersection(range(number, number + 1 + MOST_FOLLOWING)))
                pieces = self._read(file, number)
                following = filter(None, (self._read(file, later) for later in range(number + 1, last + 1)))
                passage = holding(Passage(job, int(n), pieces), following, self._wanted) if pieces else None
                self.cursor = _cursor(file, number + 1)
                if passage:
                    yield passage

    def _candidates(self) -> Iterator[tuple[str, list[set[int]]]]:
        """The files in which there are all terms, and for each term the numbers of the passages that have it."""
        upto = self._first
        while all(found := [files.upto(upto) for files in self._terms]):
            files = {item["sk"] for item in found if item}
            upto = min(files)
            if len(files) > 1:
                self.cursor = _cursor(upto, 0)
                continue
            yield upto, [set(unpacked(item["at"])) for item in found if item]
            self.cursor = _cursor(upto, DONE)
            upto = _before(upto)

    def _read(self, file: str, number: int) -> Pieces | None:
        """A passage; `None` if there is none of this number."""
        for held, first, block in self._blocks:
            if held == file and first <= number < first + len(block):
                return block[number - first]
        job, _, n = file.partition("#")
        condition = "pk = :pk AND sk BETWEEN :first AND :last"
        values = {":pk": f"passages#{job}", ":first": _key(n, 0), ":last": _key(n, number)}
        items = self.ask(condition, values, 1)["Items"]
        first, block = (_first(item := decoded(items[0])), _said_in([item])) if items else (0, [])
        self._blocks.append((file, first, block))
        return block[number - first] if number - first < len(block) else None

    def ask(self, condition: str, values: Item, limit: int) -> Item:
        """A page of items, the last first. What was written a moment ago may be missing. Raises OutOfRequests."""
        self._requests += 1
        if self._requests > MOST_REQUESTS:
            raise OutOfRequests
        answer: Item = self._index.client.query(
            TableName=self._index.table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=encoded(values),
            ScanIndexForward=False,
            Limit=limit,
        )
        return answer


class _Files:
    """The files in which a term is said, from the newest on."""

    def __init__(self, search: _Search, key: str) -> None:
        self._search = search
        self._key = key
        self._page: deque[Item] = deque()
        self._more = True

    def upto(self, file: str) -> Item | None:
        """The first that is not after `file`, which goes down from call to call."""
        while True:
            while self._page and self._page[0]["sk"] > file:
                self._page.popleft()
            if self._page or not self._more:
                return self._page[0] if self._page else None
            answer = self._search.ask("pk = :pk AND sk <= :file", {":pk": self._key, ":file": file}, PAGE)
            self._page.extend(map(decoded, answer["Items"]))
            self._more = "LastEvaluatedKey" in answer


def said(owner: str, term: str) -> str:
    return f"said#{owner}#{term}"


def packed(numbers: Iterable[int]) -> str:
    """Numbers that rise, as `at` has them."""
    made = bytearray()
    before = -1
    for number in numbers:
        distance, before = number - before, number
        while distance >= 128:
            made.append(128 | distance & 127)
            distance >>= 7
        made.append(distance)
    return base64.b64encode(made).decode()


def unpacked(text: str) -> Iterator[int]:
    number, distance, shift = -1, 0, 0
    for byte in base64.b64decode(text):
        distance |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            number += distance
            yield number
            distance = shift = 0


def _at_or_before(numbers: set[int]) -> set[int]:
    """The passages that have one of these numbers among them and those looked at after them."""
    return {number - step for number in numbers for step in range(MOST_FOLLOWING + 1)}


def _places(passages: Sequence[Pieces]) -> dict[str, str]:
    """Each term of the passages, and the numbers of those that it is in."""
    numbers: dict[str, dict[int, None]] = {}
    for number, pieces in enumerate(passages):
        for term in terms("".join(text for _, text in pieces)):
            if len(term.text.encode()) <= MAX_TERM_BYTES:
                numbers.setdefault(term.text, {})[number] = None
    return {term: packed(itertools.islice(found, MOST_PLACES)) for term, found in numbers.items()}


def _divided(passages: Sequence[Pieces]) -> Iterator[tuple[int, str]]:
    """The passages as JSON, as many together as go into an item, and the number of the first."""
    first, block, size = 0, list[str](), 0
    for number, pieces in enumerate(passages):
        text = json.dumps(pieces, ensure_ascii=False, separators=(",", ":"))
        if block and size + len(text) > BLOCK_CHARACTERS:
            yield first, f"[{','.join(block)}]"
            first, block, size = number, [], 0
        block.append(text)
        size += len(text)
    if block:
        yield first, f"[{','.join(block)}]"


def _said_in(items: Iterable[Item]) -> list[Pieces]:
    return [[(start, text) for start, text in pieces] for item in items for pieces in json.loads(item["said"])]


def _key(n: str, first: int) -> str:
    return f"{n}#{first:0{NUMBER_DIGITS}}"


def _first(item: Item) -> int:
    return int(item["sk"].partition("#")[2])


def _cursor(file: str, done: int) -> str:
    return f"{file.replace('#', '-')}-{done}"


def _parsed(cursor: str | None) -> tuple[str, int]:
    """The file to go on with, and how many of its passages are done."""
    if cursor is None:
        return LAST, 0
    found = CURSOR.fullmatch(cursor)
    if found is None:
        raise UnknownCursor(cursor)
    file, done = f"{found[1]}#{found[2]}", int(found[3])
    return (_before(file), 0) if done == DONE else (file, done)


def _before(file: str) -> str:
    """The last of all texts before this key that keys are compared with."""
    return f"{file[:-1]}{chr(ord(file[-1]) - 1)}~"
