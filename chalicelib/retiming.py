"""The times of words that somebody has corrected, from those that they were made of."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from chalicelib.transcript import Segment, Word
from chalicelib.wording import ideographic

Pair = tuple[int, int]
"""Where a word is before and after."""


def moved(segment: Segment, start: float, end: float) -> list[Word]:
    """The words of a segment that is to last from `start` to `end`, stretched with it."""
    if (start, end) == (segment.start, segment.end) or end < start:
        return segment.words
    length = segment.end - segment.start
    factor = (end - start) / length if length else 0.0

    def new(second: float) -> float:
        return start + (second - segment.start) * factor

    return [word.model_copy(update={"start": new(word.start), "end": new(word.end)}) for word in segment.words]


def aligned(words: Sequence[Word], text: str, end: float) -> list[Word]:
    """The words of `text`, which somebody made of `words`: those that stay keep their times, new ones share the rest.

    New words have probability 1, for a person wrote them. There are none in scripts without spaces.
    """
    tokens = text.split()
    if not words or any(map(ideographic, text)):
        return []
    made: list[Word] = []
    before = -1
    for old, new in [
        *kept([_core(word.text) for word in words], [_core(token) for token in tokens]),
        (len(words), len(tokens)),
    ]:
        since = words[before].end if before >= 0 else words[0].start
        until = words[old].start if old < len(words) else max(end, words[-1].end)
        made += _shared(tokens[len(made) : new], since, max(since, until))
        if new < len(tokens):
            made.append(words[old].model_copy(update={"text": tokens[new]}))
        before = old
    return made


def kept(old: Sequence[str], new: Sequence[str]) -> list[Pair]:
    """Where words that stay are in both, in order: those at the ends, and those next to words that are there once.

    That is Bram Cohen's patience diff without its recursion: n log n for any text, where the longest common
    subsequence takes n², and `difflib` n³ of words that occur often.
    """
    whole = (-1, -1), (len(old), len(new))
    head, tail = _at_ends(old, new, *whole)
    fixed = [whole[0], *head, *_once(old, new, head, tail), *tail, whole[1]]
    found = set(fixed[1:-1])
    for since, until in pairwise(fixed):
        head, tail = _at_ends(old, new, since, until)
        found.update(head, tail)
    return sorted(found)


def _at_ends(old: Sequence[str], new: Sequence[str], since: Pair, until: Pair) -> tuple[list[Pair], list[Pair]]:
    """The words between two places that are the same right after the first, and right before the second."""
    room = min(until[0] - since[0], until[1] - since[1]) - 1
    head = 0
    while head < room and old[since[0] + 1 + head] == new[since[1] + 1 + head]:
        head += 1
    tail = 0
    while tail < room - head and old[until[0] - 1 - tail] == new[until[1] - 1 - tail]:
        tail += 1
    return (
        [(since[0] + n, since[1] + n) for n in range(1, head + 1)],
        [(until[0] - n, until[1] - n) for n in range(tail, 0, -1)],
    )


def _once(old: Sequence[str], new: Sequence[str], head: Sequence[Pair], tail: Sequence[Pair]) -> list[Pair]:
    """The words between head and tail that are there once before and once after, as many as keep their order."""
    befores, afters = range(len(head), len(old) - len(tail)), range(len(head), len(new) - len(tail))
    times, times_after = Counter(old[n] for n in befores), Counter(new[n] for n in afters)
    places = {new[n]: n for n in afters if times_after[new[n]] == 1}
    pairs = [(n, places[old[n]]) for n in befores if times[old[n]] == 1 and old[n] in places]
    # The longest increasing subsequence: `ends[length]` is where the one of that length ends that ends first.
    ends: list[int] = []
    rows: list[list[int]] = []
    links: list[int | None] = []
    for index, (_, after) in enumerate(pairs):
        length = bisect_left(ends, after)
        links.append(rows[length - 1][-1] if length else None)
        if length == len(ends):
            ends.append(after)
            rows.append([index])
        else:
            ends[length] = after
            rows[length].append(index)
    chosen: list[Pair] = []
    at = rows[-1][-1] if rows else None
    while at is not None:
        chosen.append(pairs[at])
        at = links[at]
    return chosen[::-1]


def _shared(tokens: Sequence[str], start: float, end: float) -> list[Word]:
    """`tokens` as words from `start` to `end`, each by its length."""
    whole = sum(map(len, tokens))
    made: list[Word] = []
    for token in tokens:
        until = start + (end - start) * len(token) / whole
        made.append(Word(start=start, end=until, text=token, probability=1))
        whole -= len(token)
        start = until
    return made


def _core(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
