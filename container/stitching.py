"""Stitching: what was recognised in the chunks of one file, as one row of segments of a sentence each."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

from chalicelib.transcript import Segment
from chalicelib.wording import ends_sentence, joined, slices, tidied

# A pause shorter than this, in seconds, is no reason to end a segment.
RUNNING_SPEECH = 0.3
# No part of a segment that is cut where somebody else begins is shorter than this, in seconds.
SHORTEST_PART = 2.0
# No segment is made longer than this, in seconds: Whisper itself hears no more than that at once.
LONGEST = 30.0


def stitch(results: Sequence[Sequence[Segment]]) -> list[Segment]:
    """The segments of a file from those of its chunks, which are in order and on the file's timeline.

    Every word is kept exactly once, and none starts before the one before it ends. Segments are cut after every
    sentence, and joined where one ends in the middle of a sentence and the next goes on within `RUNNING_SPEECH`.

    Raises ValueError if the results are not in order.
    """
    heard = [segments for segments in results if segments]
    if any(before[0].start > after[0].start for before, after in pairwise(heard)):
        raise ValueError("the results of the chunks are not in order")
    return list(together(chain.from_iterable(map(sentences, tidied(list(chain.from_iterable(heard)))))))


def interleaved(speakers: Sequence[Sequence[Segment]]) -> list[Segment]:
    """The segments of speakers who may speak at once, in order of their starts, every word kept exactly once.

    Where somebody goes on while another begins, the segment is cut there, so that what is said stands near what it
    answers; but no part is made shorter than `SHORTEST_PART`.
    """
    waiting = [deque(segments) for segments in speakers if segments]
    row: list[Segment] = []
    while waiting:
        own = min(waiting, key=lambda queue: queue[0].start)
        segment = own.popleft()
        others = [queue[0].start for queue in waiting if queue is not own]
        parts = cut_at(segment, max(min(others), segment.start + SHORTEST_PART)) if others else [segment]
        row.append(parts[0])
        own.extendleft(parts[1:])
        waiting = [queue for queue in waiting if queue]
    return row


def cut_at(segment: Segment, second: float) -> list[Segment]:
    """`segment` cut before the first word that starts at a second or later, if there is enough after it."""
    texts = slices(segment)
    at = next((index for index, word in enumerate(segment.words) if word.start >= second), 0)
    if not texts or not at or segment.end - segment.words[at].start < SHORTEST_PART:
        return [segment]
    return [part(segment, texts, 0, at), part(segment, texts, at, len(texts))]


def part(segment: Segment, texts: list[str], start: int, end: int) -> Segment:
    """The words of a segment from one to before another; `texts` are their slices of its text."""
    words, text = segment.words[start:end], "".join(texts[start:end]).strip()
    return segment.model_copy(update={"start": words[0].start, "end": words[-1].end, "text": text, "words": words})


def sentences(segment: Segment) -> Iterator[Segment]:
    """`segment` cut after every sentence."""
    texts = slices(segment)
    ends = [end for end in range(1, len(texts)) if ends_sentence(texts[end - 1].strip(), texts[end])]
    if not ends:
        yield segment
        return
    for start, end in pairwise([0, *ends, len(texts)]):
        yield part(segment, texts, start, end)


def together(segments: Iterator[Segment]) -> Iterator[Segment]:
    """The segments, joined where one goes on with the sentence of the one before it."""
    current = next(segments, None)
    for following in segments:
        assert current
        if goes_on(current, following):
            text, words = joined([current.text, following.text]), current.words + following.words
            current = current.model_copy(update={"end": following.end, "text": text, "words": words})
        else:
            yield current
            current = following
    if current:
        yield current


def goes_on(segment: Segment, following: Segment) -> bool:
    return (
        following.speaker == segment.speaker
        and following.start - segment.end < RUNNING_SPEECH
        and following.end - segment.start <= LONGEST
        and bool(segment.words and following.words)
        and not ends_sentence(segment.text, following.text)
    )
