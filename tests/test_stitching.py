from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.transcript import Segment, Word
from container.stitching import stitch
from tests.spoken import ANYTHING, CHINESE, SPEECH, spoken


def texts(segments: list[Segment]) -> list[str]:
    return [segment.text for segment in segments]


def test_nothing_stays_nothing() -> None:
    assert stitch([]) == []
    assert stitch([[], []]) == []


def test_sentences_of_separate_chunks_stay_as_they_are() -> None:
    first, second = spoken("Ask not.", 1.0), spoken("We choose to go.", 3.0)
    assert stitch([[first], [], [second]]) == [first, second]


def test_a_sentence_cut_between_two_chunks_is_joined_and_every_sentence_is_a_segment() -> None:
    first, second = spoken("It works. And so", 0.0), spoken("my fellow Americans, go. Now rest.", 1.4)
    stitched = stitch([[first], [second]])
    assert texts(stitched) == ["It works.", "And so my fellow Americans, go.", "Now rest."]
    assert [(segment.start, segment.end) for segment in stitched] == [(0.0, 0.6), (0.6, 2.6), (2.6, 3.2)]
    assert [word for segment in stitched for word in segment.words] == first.words + second.words


def test_what_is_joined_and_cut_keeps_its_speaker() -> None:
    first, second = spoken("It works. And so", speaker="Ann"), spoken("we go.", 1.3, speaker="Ann")
    assert [(segment.speaker, segment.text) for segment in stitch([[first], [second]])] == [
        ("Ann", "It works."),
        ("Ann", "And so we go."),
    ]


def test_speakers_may_speak_at_once() -> None:
    first, second = spoken("we go on and on", speaker="Ann"), spoken("yes", 0.5, speaker="Bo")
    assert stitch([[first], [second]]) == [first, second]


def test_chinese_is_joined_without_a_space() -> None:
    first, second = spoken("今天天气", space=""), spoken("很好。我们走。", 1.2, space="")
    assert texts(stitch([[first], [second]])) == ["今天天气很好。", "我们走。"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(spoken("and then"), spoken("we left", 1.0), id="after-a-pause"),
        pytest.param(spoken("and then we left."), spoken("The", 1.3), id="after-a-sentence"),
        pytest.param(spoken("and then", speaker="Ann"), spoken("we left", 0.6, speaker="Bo"), id="another-speaker"),
        pytest.param(spoken("go " * 59 + "on", 0.0), spoken("go " * 59 + "on", 18.0), id="longer-than-30-seconds"),
    ],
)
def test_what_is_not_joined(first: Segment, second: Segment) -> None:
    assert stitch([[first], [second]]) == [first, second]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Ask Dr. Smith of the U.S. Navy.", id="title-and-initials"),
        pytest.param("Vote, e.g. Monday, at 3.30 p.m. sharp.", id="abbreviation-and-time"),
        pytest.param("“Really?” he said.", id="before-a-small-letter"),
        pytest.param("Well... perhaps.", id="hesitation"),
    ],
)
def test_where_no_sentence_ends(text: str) -> None:
    assert texts(stitch([[spoken(text)]])) == [text]


def test_where_sentences_end() -> None:
    text = "(Yes.) “No!” Why? Пошли. क्या हुआ। مرحبا؟ 3 of 4."
    expected = ["(Yes.)", "“No!”", "Why?", "Пошли.", "क्या हुआ।", "مرحبا؟", "3 of 4."]
    assert texts(stitch([[spoken(text)]])) == expected


def test_a_segment_whose_words_are_not_those_of_its_text_is_not_cut() -> None:
    segment = spoken("One two. Three four.")
    segment.words = segment.words[:2]
    assert texts(stitch([[segment]])) == ["One two. Three four."]


def test_words_that_overlap_end_where_the_next_one_starts() -> None:
    first = Segment(start=0, end=2.5, text="so it", words=[word("so", 0, 1.5), word("it", 1.0, 2.5)])
    second = Segment(start=2.0, end=3.0, text="goes", words=[word("goes", 2.0, 3.0)])
    assert stitch([[first], [second]]) == [
        Segment(start=0, end=3.0, text="so it goes", words=[word("so", 0, 1), word("it", 1, 2), word("goes", 2, 3)])
    ]


def word(text: str, start: float, end: float) -> Word:
    return Word(start=start, end=end, text=text, probability=0.9)


def test_results_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="not in order"):
        stitch([[spoken("second", 30.0)], [spoken("first", 0.0)]])


@given(st.one_of(SPEECH, CHINESE), st.integers(1, 4))
def test_every_word_is_kept_once_in_order_and_in_the_text(segments: list[Segment], size: int) -> None:
    results = [segments[first : first + size] for first in range(0, len(segments), size)]
    stitched = stitch(results)
    spoken_texts = [word.text for segment in segments for word in segment.words]
    assert [word.text for segment in stitched for word in segment.words] == spoken_texts
    assert "".join(texts(stitched)).replace(" ", "") == "".join(spoken_texts)
    assert all(segment.end - segment.start <= 30 or len(segment.words) < 2 for segment in stitched) or any(
        segment.end - segment.start > 30 for segment in segments
    )
    assert stitch([stitched]) == stitched


@given(ANYTHING)
def test_times_never_run_back(segments: list[Segment]) -> None:
    stitched = stitch([segments])
    words = [word for segment in stitched for word in segment.words]
    assert all(0 <= span.start <= span.end for span in (*stitched, *words))
    for speaker in {segment.speaker for segment in stitched}:
        own = [segment for segment in stitched if segment.speaker == speaker]
        for spans in (own, [word for segment in own for word in segment.words]):
            assert all(before.end <= after.start for before, after in pairwise(spans))
    assert sum(len(segment.words) for segment in stitched) <= sum(len(segment.words) for segment in segments)
