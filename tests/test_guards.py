"""What keeps invented text away, and that what was said stays."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from chalicelib.jobs import Guard
from chalicelib.transcript import Chunk, Segment, Span, Word
from container import catalogue
from container.alignment import Token, segments
from container.cutting import cut
from container.guards import ALL, guarded, guessed
from container.recogniser import Recogniser
from container.vad import FRAME_SECONDS, Activity
from tests.spoken import spoken


def said(text: str, probability: float) -> Segment:
    words = spoken(text).words
    return Segment.of([word.model_copy(update={"text": f" {word.text}", "probability": probability}) for word in words])


def kept(found: list[Segment], *left_out: Guard) -> list[str]:
    return [segment.text for segment in guarded(found, ALL - set(left_out))]


class TestPhantoms:
    @pytest.mark.parametrize(
        "text",
        [
            "Subtitles by the Amara.org community",
            "Untertitelung des ZDF, 2020",
            "Sous-titrage ST' 501",
            "Субтитры сделал DimaTorzok",
        ],
    )
    def test_nobody_says_the_credits_of_subtitles(self, text: str) -> None:
        found = [said(text, 0.99)]
        assert kept(found) == []
        assert kept(found, Guard.PHANTOMS) == [found[0].text]

    @pytest.mark.parametrize("text", ["Thank you.", "Thanks for watching!", "ご視聴ありがとうございました"])
    def test_thanks_that_were_said_stay(self, text: str) -> None:
        assert kept([said(text, 0.9)]) == [text]
        assert kept([said(text, 0.4)]) == []
        assert kept([said(text, 0.4)], Guard.PHANTOMS) == [text]

    def test_only_whole_segments_are_phantoms(self) -> None:
        text = "Thanks for watching the children today."
        assert kept([said(text, 0.1)]) == [text]

    def test_silence_heard_by_force(self, models_dir: Path) -> None:
        """What tiny.en makes of silence if nothing keeps it from listening."""
        recogniser = Recogniser(catalogue.path("tiny.en", models_dir))
        silence = np.zeros(3 * 16_000, np.float32)
        chunk = Chunk(start=0, end=3, speech=[Span(start=0, end=3)])
        (found,) = recogniser.transcribe([(silence, chunk)], guards=())
        assert {segment.text for segment in found} == {"you"}
        assert recogniser.transcribe([(silence, chunk)], guards=[Guard.PHANTOMS]) == [[]]


class TestLoops:
    @staticmethod
    def nines(*times: float) -> list[Segment]:
        return [Segment.of([Word(start=a, end=b, text=" nine", probability=0.9) for a, b in pairwise(times)])]

    def test_loops_are_cut_and_patience_is_not(self) -> None:
        assert kept(self.nines(0, 0.4, 0.8, 1.2)) == ["nine nine nine"]
        assert kept(self.nines(0, 0.4, 0.42, 0.43, 0.44, 0.46)) == ["nine"]

    def test_the_first_of_a_few_words_stays_however_hurried(self) -> None:
        """As where the beginning of the first was not taken for speech."""
        ends = [0.5, 0.58, 0.98, 1.4, 1.7, 3.4]
        texts = [" No,", " no,", " that", " is", " wrong."]
        words = [Word(start=a, end=b, text=t, probability=0.9) for t, (a, b) in zip(texts, pairwise(ends), strict=True)]
        assert kept([Segment.of(words)]) == ["No, no, that is wrong."]

    def test_what_took_its_time_stays_though_the_repetition_begins_within_it(self) -> None:
        ends = [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.5, 2.0]
        texts = [" alpha", " bravo", " charlie", " delta"] * 2
        words = [Word(start=a, end=b, text=t, probability=0.9) for t, (a, b) in zip(texts, pairwise(ends), strict=True)]
        (segment,) = guarded([Segment.of(words)], ALL)
        assert [(word.text, word.start, word.end) for word in segment.words] == [
            (" alpha", 0.0, 0.5),
            (" bravo", 0.5, 1.0),
            (" charlie", 1.0, 1.5),
            (" delta", 1.5, 2.0),
        ]

    @pytest.mark.parametrize(("each", "stays"), [(0.0, False), (0.3, True)])
    def test_a_phrase_that_was_only_begun_needs_time(self, each: float, stays: bool) -> None:
        """As tiny.en began one in no time at all that is said three times in a row, and then said it."""
        before, begun, after = "Listen.", "Ask what you can do for you,", "ask what you can do for your country."
        row, now = [], 0.0
        for text, seconds in ((before, 0.3), (begun, each), (after, 0.3)):
            for word in text.split():
                row.append(Word(start=now, end=now + seconds, text=f" {word}", probability=0.9))
                now += seconds
        expected = [before, begun, after] if stays else [before, after]
        assert kept([Segment.of(row)]) == [" ".join(expected)]
        assert kept([Segment.of(row)], Guard.LOOPS) == [" ".join([before, begun, after])]

    @pytest.mark.parametrize("text", ["राम की को दे", "ไป ที่ ที กัน", "use C C++ here"])
    def test_words_that_differ_by_marks_are_no_repetition(self, text: str) -> None:
        words = [Word(start=n, end=n + 0.02, text=f" {word}", probability=0.9) for n, word in enumerate(text.split())]
        assert kept([Segment.of(words)]) == [text]

    def test_it_can_be_left_out(self) -> None:
        assert kept(self.nines(0, 0.4, 0.42, 0.43), Guard.LOOPS) == ["nine nine nine"]


class TestHeard:
    """Tokens of words that end at these seconds, while somebody speaks from 2 to 4 s."""

    SPEECH = (Span(start=2, end=4),)

    def words(self, *heard: tuple[str, float], guards: frozenset[Guard] = ALL) -> list[str]:
        chunk = Chunk(start=0, end=20, speech=list(self.SPEECH))
        tokens = [Token(text.encode(), 0.9, end) for text, end in heard]
        return [word.text for segment in segments(tokens, chunk, guards) for word in segment.words]

    def test_sounds_are_not_words(self) -> None:
        heard = [(" [", 2.5), ("Music", 3.0), ("]", 3.0)]
        assert self.words(*heard) == []
        assert self.words(*heard, guards=ALL - {Guard.SOUNDS}) == [" [Music]"]


@pytest.mark.parametrize(("probabilities", "guesses"), [([0.9] * 3, False), ([0.9, 0.0, 0.9], True), ([], False)])
def test_what_is_guessed(probabilities: list[float], guesses: bool) -> None:
    assert guessed([said("word", probability) for probability in probabilities]) == guesses


def test_only_speech_is_heard_unless_all_is_asked_for() -> None:
    frames = round(60 / FRAME_SECONDS)
    probability = np.zeros(frames, np.float32)
    probability[round(10 / FRAME_SECONDS) : round(20 / FRAME_SECONDS)] = 0.9
    activity = Activity(probability, np.full(frames, -30, np.float32), 60.0)
    (chunk,) = cut(activity)
    assert [chunk.start, chunk.end] == pytest.approx([9.7, 20.3], abs=0.05)
    everything = cut(activity, ALL - {Guard.SPEECH})
    assert (everything[0].start, everything[-1].end) == (0, 60)
    assert all(a.end == b.start for a, b in pairwise(everything))
    assert cut(Activity(probability[:0], probability[:0], 0.0), ALL - {Guard.SPEECH}) == []
