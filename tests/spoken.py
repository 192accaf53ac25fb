"""Segments as the recogniser might return them, for the tests of what is made of them."""

from itertools import accumulate

from hypothesis import strategies as st

from chalicelib.transcript import Segment, Word


def spoken(
    text: str, start: float = 0.0, word_seconds: float = 0.3, space: str = " ", speaker: str | None = None
) -> Segment:
    """`text` spoken from `start` on without pauses, each of its words, parted by `space`, in `word_seconds`."""
    texts = text.split(space) if space else list(text)
    times = [round(start + index * word_seconds, 3) for index in range(len(texts) + 1)]
    words = [
        Word(start=times[index], end=times[index + 1], text=word, probability=0.9) for index, word in enumerate(texts)
    ]
    return Segment(start=start, end=times[-1], text=text, words=words, speaker=speaker)


def said_by(segments: list[Segment], speakers: list[str | None]) -> list[Segment]:
    """The segments, said by the speakers in turn."""
    return [
        segment.model_copy(update={"speaker": speakers[index % len(speakers)]})
        for index, segment in enumerate(segments)
    ]


def in_turn(words: list[tuple[str, float, float]], size: int, space: str) -> list[Segment]:
    """Segments of `size` words (text, pause before it, duration) each."""
    times = list(accumulate(pause + duration for _, pause, duration in words))
    timed = [
        Word(start=end - duration, end=end, text=text, probability=0.5)
        for (text, _, duration), end in zip(words, times, strict=True)
    ]
    groups = [timed[first : first + size] for first in range(0, len(timed), size)]
    return [
        Segment(start=group[0].start, end=group[-1].end, text=space.join(word.text for word in group), words=group)
        for group in groups
    ]


PAUSES = st.sampled_from([0.0, 0.0, 0.0, 0.05, 0.2, 0.6, 1.5, 4.0])
DURATIONS = st.floats(min_value=0.02, max_value=1.2)
TEXTS = st.sampled_from(
    ["a", "of", "and", "Yes.", "well,", "transcription", "Why?", "we", "o'clock", "3.5", "Dr.", "“So”"]
)
# Spoken in order: pauses between words of sensible lengths.
SPEECH = st.builds(
    in_turn, st.lists(st.tuples(TEXTS, PAUSES, DURATIONS), max_size=60), st.integers(1, 25), st.just(" ")
)
CHINESE = st.builds(
    in_turn,
    st.lists(st.tuples(st.sampled_from("天气很好我们去公园散步、。"), PAUSES, DURATIONS), max_size=120),
    st.integers(1, 60),
    st.just(""),
)
SPEAKERS = st.sampled_from([None, "Ann", "Bartholomew Featherstonehaugh-Chol", "王小明", "R&D --> <b>"])
CONVERSATION = st.builds(said_by, SPEECH | CHINESE, st.lists(SPEAKERS, min_size=1, max_size=4))
# Anything that the types allow.
ANY_TIME = st.floats(min_value=-10, max_value=1e6)
ANY_TEXT = st.text(st.characters(), max_size=120)
ANY_WORD = st.builds(Word, start=ANY_TIME, end=ANY_TIME, text=ANY_TEXT, probability=st.floats(0, 1))
ANYTHING = st.lists(
    st.builds(
        Segment,
        start=ANY_TIME,
        end=ANY_TIME,
        text=ANY_TEXT,
        speaker=SPEAKERS,
        words=st.lists(ANY_WORD, max_size=6),
    ),
    max_size=6,
)
