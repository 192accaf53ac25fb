"""Packing: the chunks of a job into batches of about equal audio seconds."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple

from chalicelib.transcript import Batch, BatchChunk

# A batch travels as one item of a Step Functions map, of at most 256 KiB of JSON; a chunk takes about 60 bytes of it.
MAX_CHUNKS = 2000


def pack(chunks: Sequence[BatchChunk], seconds: float, workers: int = 1) -> list[Batch]:
    """Batches of up to about `seconds` of audio each, as many for each of the workers where there are so many chunks:
    a last round that has no work for some of them would cost most of its time.

    A batch is a run of `chunks`, in their order, so the files given first are finished first. Of all ways to cut the
    row of chunks into that many runs this is one whose longest batch is shortest: never longer than the mean of the
    batches plus the longest chunk, unless the number of chunks in a batch (`MAX_CHUNKS`) forces it.
    """
    if not chunks:
        return []
    sums = [0, *accumulate(round(chunk.seconds * 1000) for chunk in chunks)]
    wanted = max(math.ceil(sums[-1] / (seconds * 1000)), math.ceil(len(chunks) / MAX_CHUNKS), 1)
    wanted = math.ceil(wanted / workers) * workers
    ends = list(cuts(sums, min(wanted, len(chunks))))
    return [
        Batch(index=index, chunks=list(chunks[start:end]))
        for index, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
    ]


class Turn(NamedTuple):
    """A chunk, and the one whose words are what was said before it."""

    chunk: BatchChunk
    before: BatchChunk | None = None


def rounds(chunks: Sequence[BatchChunk], count: int) -> Iterator[list[Turn]]:
    """All chunks, some `count` of them together, those of a file one after the other, each after the one before it.

    Runs of a file are divided, as evenly as can be, where there would be fewer in a round. Then the run's first chunk
    is heard before the others, and goes before all parts: not what was said right before, but of the same file.
    """
    numbered = enumerate(chunks)
    runs = [[chunk for _, chunk in run] for _, run in groupby(numbered, lambda at: (at[1].file, at[1].index - at[0]))]
    most = max(1, math.ceil((len(chunks) - len(runs)) / count))
    turns: defaultdict[int, list[Turn]] = defaultdict(list)
    for first, *rest in runs:
        turns[0].append(Turn(first))
        parts = math.ceil(len(rest) / most)
        for part in range(parts):
            row = [first, *rest[len(rest) * part // parts : len(rest) * (part + 1) // parts]]
            for turn, (before, chunk) in enumerate(pairwise(row), 1):
                turns[turn].append(Turn(chunk, before))
    for together in turns.values():
        yield from alike(together, count)


def alike(turns: Iterable[Turn], count: int) -> Iterator[list[Turn]]:
    """All of them, some `count` chunks of nearly the same length at a time, the longest first: none after takes longer.

    About as many each time, up to half as many more: few at a time cost most for each.
    """
    row = sorted(turns, key=lambda turn: -turn.chunk.seconds)
    groups = max(1, round(len(row) / count)) if row else 0
    for group in range(groups):
        yield row[len(row) * group // groups : len(row) * (group + 1) // groups]


def cuts(sums: list[int], count: int) -> Iterator[int]:
    """Where each of `count` runs ends, `sums[i]` being the length of the first `i` chunks (linear partition)."""
    capacity = smallest_capacity(sums, count)
    start, chunks = 0, len(sums) - 1
    for left in range(count - 1, -1, -1):
        start = min(filled(sums, start, capacity), chunks - left)
        yield start


def smallest_capacity(sums: list[int], count: int) -> int:
    """The least length of a run with which `count` runs take all chunks, found by bisection."""
    low, high = 0, sums[-1]
    while low < high:
        middle = (low + high) // 2
        if suffices(sums, count, middle):
            high = middle
        else:
            low = middle + 1
    return low


def suffices(sums: list[int], count: int, capacity: int) -> bool:
    start = 0
    for _ in range(count):
        start = filled(sums, start, capacity)
    return start == len(sums) - 1


def filled(sums: list[int], start: int, capacity: int) -> int:
    """The end of the longest run from `start` on that holds at most `capacity`."""
    return min(bisect_right(sums, sums[start] + capacity) - 1, start + MAX_CHUNKS)
