"""Whole media, heard in rounds as long as there is time: a recogniser that takes notes stands in for it."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chalicelib.transcript import BatchChunk, Segment
from container import catalogue
from container.cutting import LONGEST
from container.lanes import Lanes
from container.media import RATE
from container.recogniser import Piece
from container.steps import MARGIN, OutOfTime
from container.vad import SpeechDetector
from container.whole import Whole
from tests.stepped import Notes
from tests.test_hearing import Samples, played, recording, silence


class Pairs(Notes):
    """Hears two chunks at a time."""

    def __init__(self) -> None:
        super().__init__(at_once=2)
        self.led: list[list[str]] = []

    def transcribe(self, pieces: Sequence[Piece], *asked: Any) -> list[list[Segment]]:
        *_, before = asked
        self.led.append(["".join(segment.text for segment in segments) for segments in before])
        return super().transcribe(pieces, *asked)


class One(Lanes):
    """A single lane, in which somebody takes notes."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def recogniser(self, _model: str) -> Any:
        return self._notes

    def share(self, _model: str, chunks: Sequence[BatchChunk], work: Callable[[list[BatchChunk]], Any]) -> list[Any]:
        return [work(list(chunks))]


@pytest.fixture
def notes() -> Pairs:
    return Pairs()


@pytest.fixture
def whole(notes: Pairs, models_dir: Path) -> Whole:
    vad = catalogue.path(catalogue.VAD, models_dir)
    return Whole(One(notes), lambda: SpeechDetector(vad), "base")


@pytest.fixture
def source(tmp_path: Path, jfk: Path) -> str:
    speech: Samples = played(jfk)
    pause = silence(LONGEST)
    parts = [speech[: round(seconds * RATE)] for seconds in (2.5, 10.9, 7.6)]
    return str(recording(tmp_path, *(part for speech in parts for part in (speech, pause))))


def test_all_chunks_are_heard_in_rounds(whole: Whole, notes: Pairs, source: str) -> None:
    found = whole.transcribe(source, lambda: MARGIN)
    assert [segment.start for segment in found.segments] == pytest.approx(
        [0.3, LONGEST + 2.8, 2 * LONGEST + 13.7], abs=0.3
    )
    assert notes.led == [[""], ["oui", "oui"]]
    assert (found.language, found.language_probability) == ("fr", 0.9)


@pytest.mark.parametrize("rounds", [0, 1])
def test_no_round_is_begun_without_time(whole: Whole, notes: Pairs, source: str, rounds: int) -> None:
    left = iter([*[math.inf] * rounds, MARGIN - 0.1])
    with pytest.raises(OutOfTime, match=f"stopped after {rounds} of 3 chunks"):
        whole.transcribe(source, lambda: next(left))
    assert len(notes.led) == rounds
