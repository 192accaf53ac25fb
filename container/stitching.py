"""Stitching: what was recognised in the chunks of one file, as one row of segments of a sentence each."""

from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

from chalicelib.transcript import Segment
from chalicelib.wording import ends_sentence, joined, slices, tidied

# A pause shorter than this, in seconds, is no reason to end a segment.
RUNNING_SPEECH = 0.3
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


def sentences(segment: Segment) -> Iterator[Segment]:
    """`segment` cut after every sentence."""
    texts = slices(segment)
    ends = [end for end in range(1, len(texts)) if ends_sentence(texts[end - 1].strip(), texts[end])]
    if not ends:
        yield segment
        return
    for start, end in pairwise([0, *ends, len(texts)]):
        words = segment.words[start:end]
        text = "".join(texts[start:end]).strip()
        yield segment.model_copy(update={"start": words[0].start, "end": words[-1].end, "text": text, "words": words})


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
