"""What the recogniser returns and what a transcript consists of. Times are seconds."""

from itertools import pairwise

from pydantic import BaseModel, Field


class Span(BaseModel):
    """A half-open stretch `[start, end)` of one file's audio."""

    start: float
    end: float


class Word(Span):
    text: str
    probability: float = Field(ge=0, le=1)


class Segment(Span):
    """A stretch of connected speech; `text` reads like the words joined with their spaces.

    `speaker` is who says it, `None` if that was not asked or is not known.
    """

    text: str
    speaker: str | None = None
    words: list[Word]

    @classmethod
    def of(cls, words: list[Word]) -> "Segment":
        """The segment that words make, of which there is at least one."""
        text = "".join(word.text for word in words).strip()
        return cls(start=words[0].start, end=words[-1].end, text=text, words=words)


class Transcript(BaseModel):
    """A whole media file: times on the original media timeline, `duration` of its audio in seconds.

    Segments are in order of their starts; those of different speakers may overlap.
    """

    language: str
    language_probability: float | None = None
    model: str
    task: str
    duration: float
    segments: list[Segment]


NATURAL = 3.0
"""How many times as long as what is heard of long ones a pause may be that is heard whole."""


def heard_of(gap: float, pause: float | None) -> float:
    """Seconds that are heard of a pause of `gap` seconds: `pause` if it is longer than is natural, or else all."""
    return gap if pause is None or gap <= NATURAL * pause else pause


class Chunk(Span):
    """What the recogniser hears at once: cut at silences; `speech` are the spans inside it that hold speech.

    All times are seconds on the file's timeline. `channel` is that of the stored samples, from 0. Of the pauses between
    the spans as much is heard as `heard_of` says, half of it at either end.
    """

    speech: list[Span]
    channel: int = 0
    pause: float | None = None

    @property
    def heard(self) -> list[Span]:
        """The stretches that are heard, one after the other."""
        starts, ends = [self.start], list[float]()
        for before, after in pairwise(self.speech):
            gap = after.start - before.end
            if (heard := heard_of(gap, self.pause)) < gap:
                ends.append(before.end + heard / 2)
                starts.append(after.start - heard / 2)
        return [Span(start=start, end=end) for start, end in zip(starts, [*ends, self.end], strict=True)]

    @property
    def seconds(self) -> float:
        """How long is heard."""
        return sum(span.end - span.start for span in self.heard)


class Voice(Span):
    """Somebody's voice in a stretch of speech: the vectors of one speaker are alike."""

    vector: list[float]


class Audio(BaseModel):
    """What `prepare` found out about one media file, stored beside its samples.

    The samples are those of so many `channels` in turn; if they are `split`, each channel is a speaker.
    """

    duration: float
    language: str
    language_probability: float | None = None
    warnings: list[str] = []
    channels: int = 1
    split: bool = False
    chunks: list[Chunk]

    @property
    def speech_seconds(self) -> float:
        return sum(chunk.seconds for chunk in self.chunks)


class BatchChunk(BaseModel):
    """Chunk `index` of file number `file`, `seconds` long."""

    file: int
    index: int
    seconds: float


class Batch(BaseModel):
    """The chunks that one function invocation transcribes."""

    index: int
    chunks: list[BatchChunk]
