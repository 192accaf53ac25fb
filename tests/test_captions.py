from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import captions as module
from chalicelib.captions import Caption
from chalicelib.transcript import Segment, Word
from chalicelib.wording import tidied, width
from container.stitching import stitch
from tests.spoken import ANYTHING, CHINESE, CONVERSATION, SPEECH, spoken


def captions(segments: list[Segment], labelled: bool = False) -> list[Caption]:
    """Those of any segments, made tidy."""
    return module.captions(tidied(segments), labelled)


def lines(segments: list[Segment]) -> list[list[str]]:
    return [caption.lines for caption in captions(segments)]


def test_nothing_needs_no_captions() -> None:
    assert captions([]) == []
    assert captions([Segment(start=1, end=2, text=" \n", words=[])]) == []


def test_a_caption_lasts_from_its_first_word_to_its_last() -> None:
    assert captions([spoken("Ask not what you can do.", 2.5)]) == [Caption(2.5, 4.3, ["Ask not what you can do."])]


def test_kennedy() -> None:
    text = (
        "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
    )
    assert lines([spoken(text)]) == [
        ["And so, my fellow Americans,", "ask not what your country can do for you,"],
        ["ask what you can do for your country."],
    ]


def test_lines_are_balanced_and_do_not_end_with_an_article() -> None:
    assert lines([spoken("The committee decided to postpone the meeting until Friday")]) == [
        ["The committee decided to postpone", "the meeting until Friday"]
    ]


def test_captions_and_lines_are_phrases_where_there_is_no_punctuation() -> None:
    text = (
        "It matters if you look at what the researchers found in the second experiment which was run over about "
        "six weeks in the spring"
    )
    assert lines([spoken(text)]) == [
        ["It matters if you look", "at what the researchers found"],
        ["in the second experiment which", "was run over about six weeks in the spring"],
    ]


def test_japanese_lines_are_phrases() -> None:
    text = "今日は、新しいカメラの使い方について説明します。"
    assert lines([spoken(text, space="", word_seconds=0.2)]) == [
        ["今日は、新しいカメラの", "使い方について説明します。"]
    ]


def test_sentences_have_captions_of_their_own() -> None:
    assert lines([spoken("We shall not flag or fail. We shall go on to the end.")]) == [
        ["We shall not flag or fail."],
        ["We shall go on to the end."],
    ]


def test_sentences_too_short_to_be_read_share_a_caption() -> None:
    assert lines([spoken("Yes. No. Why?", word_seconds=0.25)]) == [["Yes. No. Why?"]]


def test_a_pause_ends_a_caption() -> None:
    assert captions([spoken("we will see"), spoken("and wait", 2.0)]) == [
        Caption(0.0, 0.9, ["we will see"]),
        Caption(2.0, 2.833, ["and wait"]),
    ]


def test_a_pause_within_a_segment_ends_a_caption() -> None:
    first, second = spoken("we will see"), spoken("and wait", 2.0)
    segment = Segment(start=0, end=2.6, text="we will see and wait", words=first.words + second.words)
    assert lines([segment]) == [["we will see"], ["and wait"]]


def test_a_short_caption_is_shown_for_five_sixths_of_a_second_where_there_is_time() -> None:
    assert captions([spoken("Yes.", 1.0), spoken("Never again, he said.", 1.8)]) == [
        Caption(1.0, 1.8, ["Yes."]),
        Caption(1.8, 3.0, ["Never again, he said."]),
    ]
    assert captions([spoken("Yes.", 1.0)]) == [Caption(1.0, 1.833, ["Yes."])]


def test_fast_speech_stays_a_fifth_of_a_second_longer() -> None:
    caption = captions([spoken("internationalization notwithstanding", word_seconds=0.5)])
    assert caption == [Caption(0.0, 1.2, ["internationalization notwithstanding"])]


def test_a_word_that_swallowed_a_pause_is_shown_for_seven_seconds() -> None:
    assert captions([spoken("Well.", 1.0, word_seconds=20)]) == [Caption(1.0, 8.0, ["Well."])]


def test_slow_speech_is_split_after_seven_seconds() -> None:
    shown = captions([spoken("a very slow and solemn voice", word_seconds=2)])
    assert [caption.lines for caption in shown] == [["a very slow"], ["and solemn voice"]]
    assert [(caption.start, caption.end) for caption in shown] == [(0, 6), (6, 12)]


def test_chinese_has_at_most_21_characters_a_line_and_no_spaces() -> None:
    text = "今天天气很好、我们一起去公园散步吧。那里的花都开了、非常漂亮、可是人也很多、所以我们要早一点出发。"
    assert lines([spoken(text, space="", word_seconds=0.15)]) == [
        ["今天天气很好、我们一起去公园散步吧。"],
        ["那里的花都开了、非常漂亮、", "可是人也很多、所以我们要早一点出发。"],
    ]


def test_a_chinese_sentence_given_as_one_word_is_split_with_its_time() -> None:
    text = "今天天气很好我们一起去公园散步吧那里的花都开了非常漂亮可是人也很多所以我们要早一点出发。"
    segment = Segment(start=0, end=9, text=text, words=[Word(start=0, end=9, text=text, probability=1)])
    shown = captions([segment])
    assert "".join("".join(caption.lines) for caption in shown) == text
    assert [(caption.start, caption.end) for caption in shown][-1][1] == 9
    assert max(width(line) for caption in shown for line in caption.lines) <= 42


def test_no_line_of_chinese_begins_with_a_closing_mark() -> None:
    text = "我们一起去公园散步吧" * 2 + "我。" + "那里的花都开了" * 3
    assert not [line for caption in lines([spoken(text, space="")]) for line in caption if line[0] == "。"]


def test_korean_keeps_its_spaces() -> None:
    assert lines([spoken("오늘은 날씨가 좋네요."), spoken("산책 갑시다.", 0.9)]) == [
        ["오늘은 날씨가 좋네요."],
        ["산책 갑시다."],
    ]


def test_spaces_are_those_of_the_text() -> None:
    words = [Word(start=n, end=n + 1, text=text, probability=1) for n, text in enumerate(["GPT", "は", "新しい", "AI"])]
    assert lines([Segment(start=0, end=4, text="GPT は新しい AI", words=words)]) == [["GPT は新しい AI"]]


def test_punctuation_that_is_in_the_text_alone_is_kept() -> None:
    segment = spoken("Hello world")
    segment.text = "“Hello,” (world)."
    assert lines([segment]) == [["“Hello,” (world)."]]


def test_a_word_longer_than_a_line_is_cut_and_only_there() -> None:
    chemical = "methionylthreonylthreonylglutaminylarginylisoleucine"
    assert lines([spoken(f"called {chemical} here")]) == [["called", chemical[:42]], [f"{chemical[42:]} here"]]


def test_an_edited_text_is_spread_over_the_time_of_its_segment() -> None:
    segment = Segment(start=10, end=14, text="Nobody timed these words.", words=[])
    assert captions([segment]) == [Caption(10, 14, ["Nobody timed these words."])]


@pytest.mark.parametrize("gap", [0.0, -3.0])
def test_words_without_length_or_order_still_make_captions(gap: float) -> None:
    words = [Word(start=5 + gap * n, end=5 + gap * n, text=f"Word{n}.", probability=0) for n in range(40)]
    shown = captions([Segment(start=5, end=5, text=" ".join(word.text for word in words), words=words)])
    assert " ".join(" ".join(caption.lines) for caption in shown) == " ".join(word.text for word in words)
    assert_shown_properly(shown)


def assert_shown_properly(shown: list[Caption]) -> None:
    for caption in shown:
        assert 1 <= len(caption.lines) <= 2
        assert all(line and width(line) <= 42 and line == line.strip() for line in caption.lines)
        assert 0 <= caption.start < caption.end <= caption.start + 7.001
    assert all(before.end <= after.start for before, after in pairwise(shown))


def test_a_caption_has_one_speaker_whose_name_has_its_place_in_the_lines() -> None:
    segments = [
        spoken("Yes.", 0.0, speaker="Ann"),
        spoken("No.", 0.3, speaker="Bo"),
        spoken("And so my fellow Americans ask not what your country can do", 1.0, speaker="Bo"),
        spoken("internationalization notwithstanding", 6.0, speaker="Bartholomew Featherstonehaugh-Chol"),
    ]
    assert [(caption.speaker, caption.lines) for caption in captions(segments, labelled=True)] == [
        ("Ann", ["Ann: Yes."]),
        ("Bo", ["Bo: No."]),
        ("Bo", ["And so my fellow Americans", "ask not what your country can do"]),
        (
            "Bartholomew Featherstonehaugh-Chol",
            ["Bartholomew Featherstonehaugh-Chol:", "internationalization notwithstanding"],
        ),
    ]


def test_what_is_said_at_once_is_shown_in_turn() -> None:
    segments = [spoken("Ask not what it can do.", speaker="Ann"), spoken("I do ask.", 0.1, speaker="Bo")]
    assert captions(segments) == [
        Caption(0.0, 0.833, ["Ask not what it can do."], "Ann"),
        Caption(0.833, 1.666, ["I do ask."], "Bo"),
    ]


@given(SPEECH)
def test_speech(segments: list[Segment]) -> None:
    stitched = stitch([segments])
    shown = captions(stitched)
    assert_shown_properly(shown)
    words = [word for segment in stitched for word in segment.words]
    assert [text for caption in shown for line in caption.lines for text in line.split()] == [w.text for w in words]
    for caption in shown:
        spoken_words = [words.pop(0) for line in caption.lines for _ in line.split()]
        assert caption.start == pytest.approx(spoken_words[0].start, abs=0.001)
        late = max(0.2, 5 / 6 - (spoken_words[-1].end - spoken_words[0].start))
        assert -0.001 <= caption.end - spoken_words[-1].end <= late + 0.001
        assert all(b.start - a.end < 1 for a, b in pairwise(spoken_words))


@given(CHINESE)
def test_chinese(segments: list[Segment]) -> None:
    shown = captions(segments)
    assert_shown_properly(shown)
    assert "".join(line for caption in shown for line in caption.lines) == "".join(part.text for part in segments)


@given(CONVERSATION | ANYTHING, st.booleans())
def test_anything(segments: list[Segment], labelled: bool) -> None:
    assert_shown_properly(captions(segments, labelled))
