"""What is heard before and beside the words, and what the recogniser is told: one that takes notes stands in for it."""

import json
import math
import wave
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chalicelib import keys
from chalicelib.jobs import FileState, Guard, JobState, Options, Task
from chalicelib.transcript import Chunk, Segment, Voice
from container.cutting import LONGEST
from container.hearing import LANGUAGE_GUESSED
from container.media import RATE
from container.recogniser import Piece
from container.steps import ENGLISH_ONLY, MARGIN, OutOfTime
from tests.stepped import Notes, begun, transcribed

Samples = NDArray[np.int16]


def played(recording: Path) -> Samples:
    with wave.open(str(recording)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


@pytest.fixture(scope="module")
def speech(jfk: Path) -> Samples:
    return played(jfk)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), "<i2")


def recording(folder: Path, *parts: Samples) -> Path:
    with wave.open(str(folder / "recording.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "NONE"))
        file.writeframes(np.concatenate(parts).tobytes())
    return folder / "recording.wav"


def options(**told: Any) -> Options:
    return Options(model="base", **told)


class TestLanguage:
    @pytest.mark.parametrize("guards", [list(Guard), []])
    def test_it_is_detected_once_on_speech(
        self, tmp_path: Path, models_dir: Path, speech: Samples, guards: list[Guard]
    ) -> None:
        """Not on the forty seconds of silence before it, and not again on what follows."""
        source, notes = recording(tmp_path, silence(40), speech, silence(LONGEST), speech), Notes()
        asked = options(guards=guards)
        result = transcribed(source, tmp_path / "data", models_dir, asked, recogniser=lambda _: notes)
        (heard,) = notes.detected
        assert len(heard) / RATE == pytest.approx(10.9, abs=0.4)
        whole, part = (sound.astype("<i2").tobytes() for sound in (played(source), heard * 32768))
        assert whole.find(part) / 2 / RATE == pytest.approx(40, abs=0.1)
        assert [told["language"] for told in notes.told] == ["fr"] * (2 if guards else 9)
        found = json.loads(result.texts["json"])
        assert (found["language"], found["language_probability"], result.file.language) == ("fr", 0.9, "fr")
        assert result.file.warnings == []

    def test_a_greeting_does_not_tell_it(self, tmp_path: Path, models_dir: Path, speech: Samples) -> None:
        notes, greeting = Notes(), speech[: round(2.4 * RATE)]
        source = recording(tmp_path, greeting, silence(LONGEST), speech)
        result = transcribed(source, tmp_path / "data", models_dir, options(), recogniser=lambda _: notes)
        (heard,) = notes.detected
        assert len(heard) / RATE == pytest.approx(10.9, abs=0.4)
        assert (len(notes.told), result.file.language) == (2, "fr")

    def test_a_guess_is_told(self, tmp_path: Path, models_dir: Path, speech: Samples) -> None:
        notes = Notes(probability=0.42)
        result = transcribed(
            recording(tmp_path, speech), tmp_path / "data", models_dir, options(), recogniser=lambda _: notes
        )
        assert result.file.warnings == [LANGUAGE_GUESSED.format(language="fr", percent=42)]

    @pytest.mark.parametrize(
        ("asked", "multilingual", "certainty", "warned"),
        [
            ("auto", False, 0.3, True),
            ("auto", False, 0.9, False),
            ("en", False, 0.3, False),
            ("auto", True, 0.3, False),
        ],
    )
    def test_who_speaks_another_language_than_english_is_told(
        self,
        tmp_path: Path,
        models_dir: Path,
        speech: Samples,
        asked: str,
        multilingual: bool,
        certainty: float,
        warned: bool,
    ) -> None:
        notes = Notes(multilingual=multilingual, certainty=certainty)
        source = recording(tmp_path, speech)
        asked_for = options(language=asked)
        result = transcribed(source, tmp_path / "data", models_dir, asked_for, recogniser=lambda _: notes)
        assert result.file.warnings == ([ENGLISH_ONLY.format(model="base")] if warned else [])

    def test_what_is_asked_for_is_never_second_guessed(self, tmp_path: Path, models_dir: Path, speech: Samples) -> None:
        """In no window, each of which is told all that was asked for."""
        notes, pause = Notes(), silence(LONGEST)
        asked = options(language="de", task=Task.TRANSLATE, prompt="Kiesgrube", guards=[Guard.SPEECH, Guard.LOOPS])
        source = recording(tmp_path, speech, pause, speech, pause, speech)
        result = transcribed(source, tmp_path / "data", models_dir, asked, recogniser=lambda _: notes)
        assert notes.detected == []
        guards = [Guard.SPEECH, Guard.LOOPS]
        assert notes.told == [{"language": "de", "translate": True, "prompt": "Kiesgrube", "guards": guards}] * 3
        found = json.loads(result.texts["json"])
        assert (found["language"], found["language_probability"]) == ("de", None)

    def test_a_model_that_knows_english_only_is_not_asked(
        self, tmp_path: Path, models_dir: Path, speech: Samples
    ) -> None:
        notes = Notes(multilingual=False)
        source = recording(tmp_path, speech)
        result = transcribed(source, tmp_path / "data", models_dir, options(), recogniser=lambda _: notes)
        assert (notes.detected, result.file.language) == ([], "en")


class Numbered:
    """Hears a new voice in each chunk."""

    def __init__(self) -> None:
        self._numbers = count()

    def hear(self, _audio: NDArray[np.float32], chunk: Chunk) -> list[Voice]:
        vector = np.eye(8)[next(self._numbers)]
        return [Voice(start=span.start, end=span.end, vector=vector.tolist()) for span in chunk.speech[:1]]


def test_chunks_are_heard_together_and_kept_apart(tmp_path: Path, models_dir: Path, speech: Samples) -> None:
    """Two at a time, led by what was said before them, as far as there is time."""

    class Pairs(Notes):
        def transcribe(self, pieces: Sequence[Piece], *asked: Any) -> list[list[Segment]]:
            *_, before = asked
            lengths.append([round(len(sound) / RATE, 3) for sound, _ in pieces])
            led.append(["".join(segment.text for segment in segments) for segments in before])
            return super().transcribe(pieces, *asked)

    lengths: list[list[float]] = []
    led: list[list[str]] = []
    notes, pause = Pairs(at_once=2), silence(LONGEST)
    parts = [speech[: round(seconds * RATE)] for seconds in (2.5, 10.9, 7.6)]
    source = recording(tmp_path, *(part for speech in parts for part in (speech, pause)))
    told: dict[str, Any] = {"recogniser": lambda _: notes, "batch_seconds": lambda _: 600.0}
    steps = begun(source, tmp_path / "data", models_dir, options(language="fr"), **told)
    steps.prepare("j", 0)
    (batch,) = steps.batch("j")
    first, second, third = (chunk.seconds for chunk in batch.chunks)
    left = iter([math.inf, 0.0])
    with pytest.raises(OutOfTime, match="stopped before chunk 1 of file 0"):
        steps.transcribe("j", batch, lambda: next(left))
    assert steps.transcribe("j", batch) == pytest.approx(second + third)
    assert lengths == [[pytest.approx(each, abs=0.002) for each in group] for group in ([first], [second, third])]
    assert led == [[""], ["oui", "oui"]]
    steps.merge("j", 0)
    merged = json.loads(steps.objects.get(keys.transcript("j", "o", "json")))
    assert [segment["start"] for segment in merged["segments"]] == pytest.approx(
        [0.3, LONGEST + 2.8, 2 * LONGEST + 13.7], abs=0.3
    )


def test_a_short_chunk_does_not_tell_for_long_ones(
    tmp_path: Path, models_dir: Path, speech: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes as much time as one of some seconds."""

    class Slow(Notes):
        def transcribe(self, *asked: Any) -> list[list[Segment]]:
            clock.append(clock[-1] + 1.0)
            return super().transcribe(*asked)

    clock, notes = [0.0], Slow()
    monkeypatch.setattr("container.steps.time", SimpleNamespace(monotonic=lambda: clock[-1]))
    source = recording(tmp_path, speech[: round(1.4 * RATE)], silence(LONGEST), speech)
    told: dict[str, Any] = {"recogniser": lambda _: notes, "batch_seconds": lambda _: 600.0}
    steps = begun(source, tmp_path / "data", models_dir, options(language="fr"), **told)
    steps.prepare("j", 0)
    (batch,) = steps.batch("j")
    assert [chunk.seconds for chunk in batch.chunks] == pytest.approx([1.4, 10.9], abs=0.4)
    left = iter([math.inf, MARGIN + 1.5])
    assert steps.transcribe("j", batch, lambda: next(left)) == sum(chunk.seconds for chunk in batch.chunks)


def test_a_sound_of_no_length_is_heard(tmp_path: Path, models_dir: Path, speech: Samples) -> None:
    """Four samples, which are heard if all is to be."""
    source = recording(tmp_path, speech[:4])
    asked = options(language="fr", guards=[Guard.LOOPS])
    told: dict[str, Any] = {"recogniser": lambda _: Notes(), "batch_seconds": lambda _: 600.0}
    found = transcribed(source, tmp_path / "data", models_dir, asked, **told)
    assert found.file.state == FileState.SUCCEEDED


def test_what_was_heard_of_voices_is_kept_until_the_end(tmp_path: Path, models_dir: Path, speech: Samples) -> None:
    """Also by a step that broke off and is run again, which hears only what is left."""

    class Breaks(Notes):
        def transcribe(self, *asked: Any) -> list[list[Segment]]:
            if len(self.told) == 1:
                self.told.append({})
                raise MemoryError
            return super().transcribe(*asked)

    notes, voices = Breaks(), Numbered()
    source = recording(tmp_path, speech, silence(LONGEST), speech)
    asked = options(language="fr", diarize=True)
    parts: dict[str, Any] = {"recogniser": lambda _: notes, "voices": lambda: voices, "batch_seconds": lambda _: 600.0}
    steps = begun(source, tmp_path / "data", models_dir, asked, **parts)
    steps.prepare("j", 0)
    (batch,) = steps.batch("j")
    with pytest.raises(MemoryError):
        steps.transcribe("j", batch)
    shorter = min(chunk.seconds for chunk in batch.chunks)
    assert steps.transcribe("j", batch) == shorter, "the other is stored"
    assert steps.transcribe("j", batch) == 0
    assert len(notes.told) == 3
    work = sorted(key.removeprefix("work/j/0/") for key in steps.objects.keys(keys.work("j")) if "/0/" in key)
    assert work == ["audio.json", "audio.s16", "chunks/0.json", "chunks/1.json", "voices/0.json", "voices/1.json"]
    steps.merge("j", 0)
    merged = json.loads(steps.objects.get(keys.transcript("j", "o", "json")))
    assert [segment["speaker"] for segment in merged["segments"]] == ["Speaker 1", "Speaker 2"]
    steps.merge("j", 0)
    steps.finish("j")
    assert list(steps.objects.keys(keys.work("j"))) == []
    job = steps.records.job("j")
    assert job is not None
    assert (job.state, job.count(FileState.SUCCEEDED)) == (JobState.SUCCEEDED, 1)
