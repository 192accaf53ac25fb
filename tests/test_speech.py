"""Voice activity and cutting: the model on real sound, the cuts on anything."""

import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from chalicelib.jobs import Guard
from chalicelib.transcript import NATURAL, Chunk, Span
from container import catalogue
from container.cutting import LIMIT, LONGER_PAUSE, LONGEST, PADDING, PAUSE, cut, speech_spans
from container.guards import ALL
from container.vad import FRAME_SECONDS, Activity, SpeechDetector

RATE = 16_000


def samples_of(path: Path) -> NDArray[np.int16]:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def activity(*stretches: tuple[float, float]) -> Activity:
    """Seconds and probability of one stretch after the other."""
    probability = np.concatenate([np.full(round(s / FRAME_SECONDS), p, np.float32) for s, p in stretches])
    return Activity(probability, 60 * probability - 70, len(probability) * FRAME_SECONDS)


class TestDetector:
    @pytest.fixture
    def detector(self, models_dir: Path) -> SpeechDetector:
        return SpeechDetector(catalogue.path(catalogue.VAD, models_dir))

    def test_finds_a_sentence_between_silences(self, detector: SpeechDetector, jfk: Path) -> None:
        silence = np.zeros(5 * RATE, np.int16)
        detector.feed(np.concatenate([silence, samples_of(jfk), silence]))
        spans = speech_spans(detector.finish())
        assert spans[0].start == pytest.approx(5.32, abs=0.1)
        assert spans[-1].end == pytest.approx(15.6, abs=0.3)

    def test_blocks_make_no_difference(self, models_dir: Path, jfk: Path) -> None:
        path, samples = catalogue.path(catalogue.VAD, models_dir), samples_of(jfk)
        whole, pieces = SpeechDetector(path), SpeechDetector(path)
        whole.feed(samples)
        for start in range(0, len(samples), 7_777):
            pieces.feed(samples[start : start + 7_777])
        expected, got = whole.finish(), pieces.finish()
        assert np.allclose(got.probability, expected.probability, atol=1e-4)
        assert np.array_equal(got.loudness, expected.loudness)
        assert got.duration == expected.duration == 11.0

    def test_noise_and_silence_are_not_speech(self, detector: SpeechDetector) -> None:
        noise = np.random.default_rng(1).normal(0, 3000, 20 * RATE).astype(np.int16)
        detector.feed(np.concatenate([noise, np.zeros(20 * RATE, np.int16)]))
        assert cut(detector.finish()) == []

    @pytest.mark.parametrize("decibels", [-20, -40, -50])
    def test_faint_speech(self, models_dir: Path, jfk: Path, decibels: int) -> None:
        samples = samples_of(jfk)
        loud, faint = (SpeechDetector(catalogue.path(catalogue.VAD, models_dir)) for _ in range(2))
        loud.feed(samples)
        faint.feed((samples * 10 ** (decibels / 20)).astype(np.int16))
        expected = [time for span in speech_spans(loud.finish()) for time in (span.start, span.end)]
        got = [time for span in speech_spans(faint.finish()) for time in (span.start, span.end)]
        assert got == pytest.approx(expected, abs=0.15)

    @pytest.mark.parametrize("amplitude", [1, 10, 100])
    def test_faint_noise_is_not_speech(self, detector: SpeechDetector, amplitude: int) -> None:
        detector.feed(np.random.default_rng(1).normal(0, amplitude, 90 * RATE).round().astype(np.int16))
        assert cut(detector.finish()) == []

    def test_nothing_heard(self, detector: SpeechDetector) -> None:
        heard = detector.finish()
        assert (heard.duration, len(heard.probability), cut(heard)) == (0, 0, [])


class TestCut:
    def test_one_sentence(self) -> None:
        (chunk,) = cut(activity((1.6, 0), (3.2, 1), (1.6, 0)))
        assert (chunk.start, chunk.end) == pytest.approx((1.6 - PADDING, 4.8 + PADDING))
        assert [(span.start, span.end) for span in chunk.speech] == [pytest.approx((1.6, 4.8))]

    @pytest.mark.parametrize(("guards", "pause"), [(ALL, PAUSE), (ALL - {Guard.OUTSIDE}, LONGER_PAUSE)])
    def test_natural_pauses_stay_of_long_ones_the_ends(self, guards: frozenset[Guard], pause: float) -> None:
        (chunk,) = cut(activity((3.2, 1), (1.12, 0), (3.2, 1), (6.4, 0), (3.2, 1)), guards)
        times = [time for span in chunk.heard for time in (span.start, span.end)]
        assert times == pytest.approx([0, 7.52 + pause / 2, 13.92 - pause / 2, 17.12])

    def test_scattered_words_are_not_read_with_all_the_silence_between_them(self) -> None:
        chunks = cut(activity(*[(0.64, 1.0), (32.0, 0.0)] * 10))
        assert [len(chunk.speech) for chunk in chunks] == [2, 4, 4]
        assert max(chunk.end - chunk.start for chunk in chunks) < LONGEST
        assert max(chunk.seconds for chunk in chunks) < 6

    def test_cuts_at_the_longer_pause(self) -> None:
        chunks = cut(activity((9.6, 1), (0.32, 0), (9.6, 1), (1.6, 0), (6.4, 1), (0.32, 0), (9.6, 1)))
        assert [len(chunk.speech) for chunk in chunks] == [2, 2]

    def test_speech_without_pause_is_cut_where_it_is_faintest(self) -> None:
        chunks = cut(activity((24, 1), (0.16, 0.6), (24, 1)))
        assert len(chunks) == 2
        assert chunks[0].end == chunks[1].start == pytest.approx(24.08, abs=0.05)

    def test_a_short_tail_is_not_dropped(self) -> None:
        chunks = cut(activity((28.8, 1), (3.2, 0), (0.256, 1)))
        assert chunks[-1].end == pytest.approx(32.256)

    def test_ten_hours(self) -> None:
        chunks = cut(activity(*[(2.24, 1.0), (0.64, 0.0)] * 12_500))
        assert sum(len(chunk.speech) for chunk in chunks) == 12_500

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.tuples(st.floats(0.032, 40), st.floats(0, 1)),
            max_size=40,
        )
    )
    def test_all_speech_once_in_order_within_limits(self, stretches: list[tuple[float, float]]) -> None:
        heard = activity((0.032, 0), *stretches)
        chunks = cut(heard)
        check(chunks, heard)


def parted(chunk: Chunk, before: Span, after: Span) -> bool:
    """Whether the middle of the pause between two spans is not heard."""
    return any(before.end < part.end < next.start < after.start for part, next in pairwise(chunk.heard))


def check(chunks: list[Chunk], heard: Activity) -> None:
    for chunk in chunks:
        assert 0 <= chunk.start < chunk.end <= heard.duration
        assert chunk.seconds <= LIMIT + 2 * PADDING + 1e-6
        assert chunk.end - chunk.start <= LONGEST + 2 * PADDING + 1e-6
        assert chunk.start <= chunk.speech[0].start
        assert chunk.speech[-1].end <= chunk.end
        assert all(
            b.start - a.end <= NATURAL * PAUSE + 1e-6 for a, b in pairwise(chunk.speech) if not parted(chunk, a, b)
        )
        assert all(any(part.start <= s.start < s.end <= part.end for part in chunk.heard) for s in chunk.speech)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(chunks))
    parts = [span for chunk in chunks for span in chunk.speech]
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(parts))
    spans = speech_spans(heard)
    assert sum(p.end - p.start for p in parts) == pytest.approx(sum(s.end - s.start for s in spans))
    assert {span.start for span in spans} <= {part.start for part in parts}
