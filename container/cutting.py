"""Where to cut: from the probability of speech to chunks that the recogniser hears at once.

Whisper hears 30 seconds at a time and does best on connected speech with its natural pauses. So chunks are cut at
pauses, the longer the better, keep the pauses inside them but for the middle of long ones, and leave out what is not
speech.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chalicelib.jobs import Guard
from chalicelib.transcript import Chunk, Span, heard_of
from container.guards import ALL
from container.vad import FRAME_SECONDS, Activity

LIMIT = 29.0
"""Seconds of a chunk that are heard at most: Whisper's window of 30 less some air."""

LONGEST = 120.0
"""Seconds from a chunk's start to its end at most, however little of it is heard: they are read at once."""

SPEECH_BEGINS, SPEECH_ENDS = 0.5, 0.35
"""Probabilities at which speech is taken to begin and to end, as Silero's authors recommend."""

SHORTEST_PAUSE = 0.1
"""Gaps below are part of a word: closed lips before a plosive."""

SHORTEST_SPEECH = 0.1
"""Sounds below are clicks; "yes" takes 0.2 s."""

PADDING = 0.3
"""Seconds of what surrounds a chunk's speech that stay in the chunk: weak first and last sounds."""

PAUSE, LONGER_PAUSE = 0.4, 1.0
"""Seconds that are heard of a pause of more than NATURAL times as many, and where more of it is wanted.

Wrong words of nine tracks (docs/benchmarks.md) with up to 3 s of a pause and with 0.4: tiny.en 322
and 297, base 314 and 304, both with somewhat fewer chunks than now.
"""

LONGEST_PAUSE = 3.0
"""Seconds from which on a pause is no better place for a cut."""

TELLING = 10.0
"""Seconds of sound that tell the language for certain: a greeting may be taken for any."""

GROUP_COST, CUT_COST = 4.0, 6.0
"""What a chunk costs, and what a cut without any pause costs besides, in the same arbitrary unit: few chunks, since
each is heard with silence after it, and its first words without what was said before; but one that begins in the middle
of a sentence may go without punctuation, as some of 37 did with 20 instead of 4 (test_long.py).
"""


def speech_spans(activity: Activity) -> list[Span]:
    """The stretches in which somebody speaks, in order, disjoint, within the audio."""
    spans: list[Span] = []
    for first, last in _runs(activity.probability):
        start, end = first * FRAME_SECONDS, min(last * FRAME_SECONDS, activity.duration)
        if spans and start - spans[-1].end < SHORTEST_PAUSE:
            spans[-1] = Span(start=spans[-1].start, end=end)
        else:
            spans.append(Span(start=start, end=end))
    return [span for span in spans if span.end - span.start >= SHORTEST_SPEECH]


def _runs(probability: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Frames `[first, last)` of speech, from one that reaches SPEECH_BEGINS to one that falls below SPEECH_ENDS."""
    above = probability >= SPEECH_ENDS
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
    runs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    begins = SPEECH_BEGINS
    return [
        (first + int(np.argmax(probability[first:last] >= begins)), last)
        for first, last in runs
        if probability[first:last].max() >= begins
    ]


def cut(activity: Activity, guards: Collection[Guard] = ALL) -> list[Chunk]:
    """Chunks of which at most LIMIT seconds are heard, and that together hold all speech: in order, disjoint, none
    without speech.

    Without the guard `speech` all that is to be heard counts as speech, without `outside` more of a pause is heard.
    """
    pause = PAUSE if Guard.OUTSIDE in guards else LONGER_PAUSE
    heard = speech_spans(activity) if Guard.SPEECH in guards else [Span(start=0, end=activity.duration)]
    spans = [part for span in heard for part in _split(span, activity) if part.end > part.start]
    groups = _pack(spans, pause)
    chunks = [Chunk(start=group[0].start, end=group[-1].end, speech=group, pause=pause) for group in groups]
    return _padded(chunks, activity.duration)


def telling(chunks: Sequence[Chunk]) -> Chunk | None:
    """What to tell the language by: the first chunk that is long enough, or else the longest."""
    long = [chunk for chunk in chunks if chunk.seconds >= TELLING]
    if long:
        return min(long, key=lambda chunk: chunk.start)
    return max(chunks, key=lambda chunk: chunk.seconds, default=None)


def _split(span: Span, activity: Activity) -> list[Span]:
    """Parts of speech without a pause: cut where it is faintest, in the last third of what fits."""
    parts, start, limit = [], span.start, LIMIT
    while span.end - start > limit:
        earliest = start + min(limit, span.end - start) * 2 / 3
        at = _faintest(activity, earliest, start + limit)
        parts.append(Span(start=start, end=at))
        start = at
    return [*parts, Span(start=start, end=span.end)]


def _faintest(activity: Activity, start: float, end: float) -> float:
    """The second between two others at which speech is least probable and least loud over 5 frames."""
    first, last = int(start / FRAME_SECONDS) + 1, int(end / FRAME_SECONDS)
    window = slice(max(0, first - 2), last + 2)
    strength = activity.probability[window] + activity.loudness[window] / 40
    smooth = np.convolve(strength, np.ones(5) / 5, "valid")
    return (first + int(np.argmin(smooth)) + 0.5) * FRAME_SECONDS


def _pack(spans: list[Span], heard_pause: float) -> list[list[Span]]:
    """Neighbouring spans in groups that fit the limit: the cheapest grouping, by dynamic programming.

    A group costs what the recogniser spends on a call besides the audio's length, a cut the more the shorter its pause.
    """
    best = [(0.0, 0)]
    for end in range(1, len(spans) + 1):
        choices = []
        for start in _group_starts(spans, end, heard_pause):
            pause = spans[start].start - spans[start - 1].end if start else LONGEST_PAUSE
            choices.append((best[start][0] + GROUP_COST + CUT_COST * max(0.0, 1.0 - pause / LONGEST_PAUSE), start))
        best.append(min(choices))
    groups, end = [], len(spans)
    while end:
        start = best[end][1]
        groups.append(spans[start:end])
        end = start
    return groups[::-1]


def _group_starts(spans: list[Span], end: int, pause: float) -> Iterator[int]:
    """Where a group may start that ends before span `end`."""
    last = spans[end - 1]
    seconds = last.end - last.start
    yield end - 1
    for start in range(end - 2, -1, -1):
        span = spans[start]
        seconds += span.end - span.start + heard_of(spans[start + 1].start - span.end, pause)
        if seconds > LIMIT or last.end - span.start > LONGEST:
            return
        yield start


def _padded(chunks: list[Chunk], duration: float) -> list[Chunk]:
    """Chunks widened by PADDING, but not into each other, beyond the audio or over the limit of Whisper's window."""
    if not chunks:
        return []
    edges = [0.0, *((a.end + b.start) / 2 for a, b in pairwise(chunks)), duration]
    return [
        chunk.model_copy(
            update={"start": max(chunk.start - PADDING, before), "end": min(chunk.end + PADDING, after)},
        )
        for chunk, (before, after) in zip(chunks, pairwise(edges), strict=True)
    ]
