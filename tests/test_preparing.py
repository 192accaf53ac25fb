"""What the first step makes of a file: its sound, its language, and what its owner is told."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from chalicelib import keys
from chalicelib.jobs import FileState, Job, JobState, MediaFile, Options
from local.worker import Workplace
from tests.media_files import ffmpeg

SILENCE = ["-f", "lavfi", "-t", "5", "-i", "anullsrc=r=16000:cl=mono"]


@pytest.fixture
def prepared(tmp_path: Path, models_dir: Path) -> "Prepare":
    return Prepare(tmp_path / "data", models_dir)


class Prepare:
    """Prepares media in a real workplace on disk."""

    def __init__(self, data: Path, models: Path) -> None:
        self._data = data
        self.steps = Workplace(data, models, b"secret", 1, 1).steps()

    def __call__(self, source: Path) -> MediaFile:
        file = MediaFile(job="j", n=0, path=source.name, output="o", size=1, state=FileState.UPLOADED)
        job = Job(
            id="j",
            owner="o",
            state=JobState.RUNNING,
            options=Options(model="tiny.en"),
            created_at=0,
            size=1,
            counts={FileState.UPLOADED: 1},
        )
        self.steps.records.add_job(job, [file])
        stored = self._data / "objects" / keys.upload("j", source.name)
        stored.parent.mkdir(parents=True)
        shutil.copy(source, stored)
        self.steps.prepare("j", 0)
        found = self.steps.records.file("j", 0)
        assert found is not None
        return found


def test_nothing_to_say_about_ordinary_speech(prepared: Prepare, jfk_video: Path) -> None:
    file = prepared(jfk_video)
    assert (file.state, file.warnings) == (FileState.TRANSCRIBING, [])
    assert file.speech_seconds == pytest.approx(10.7, abs=0.3)


def test_silence_is_told(prepared: Prepare, tmp_path: Path) -> None:
    ffmpeg(*SILENCE, tmp_path / "silence.wav")
    file = prepared(tmp_path / "silence.wav")
    assert (file.state, file.warnings, file.speech_seconds) == (FileState.TRANSCRIBING, ["No speech was found."], 0)
    assert file.audio_seconds == 5


def test_speech_on_the_second_track_is_found(prepared: Prepare, tmp_path: Path, jfk: Path) -> None:
    ffmpeg(*SILENCE, "-i", jfk, "-map", "0", "-map", "1", tmp_path / "two.mkv")
    file = prepared(tmp_path / "two.mkv")
    assert file.warnings == ["The file has 2 sound tracks: number 2 was transcribed."]
    assert file.speech_seconds == pytest.approx(10.7, abs=0.3)


def test_the_track_that_was_taken_is_named(prepared: Prepare, tmp_path: Path, jfk: Path) -> None:
    ffmpeg(*SILENCE, "-i", jfk, "-map", "1", "-map", "0", tmp_path / "two.mkv")
    assert prepared(tmp_path / "two.mkv").warnings == ["The file has 2 sound tracks: number 1 was transcribed."]


def test_no_speech_on_any_track(prepared: Prepare, tmp_path: Path) -> None:
    ffmpeg(*SILENCE, "-map", "0", "-map", "0", tmp_path / "two.mkv")
    assert prepared(tmp_path / "two.mkv").warnings == ["No speech was found."]


def test_inverted_channels_are_heard(prepared: Prepare, tmp_path: Path, jfk: Path) -> None:
    ffmpeg("-i", jfk, "-af", "pan=stereo|c0=c0|c1=-1*c0", tmp_path / "inverted.wav")
    file = prepared(tmp_path / "inverted.wav")
    assert file.warnings == []
    assert file.speech_seconds == pytest.approx(10.7, abs=0.3)


@pytest.mark.parametrize(
    ("probability", "warnings"),
    [(0.32, ["The language was guessed (fr, 32 %). Name it with the option 'language'."]), (0.9, [])],
)
def test_an_uncertain_language_is_told(prepared: Prepare, jfk: Path, probability: float, warnings: list[str]) -> None:
    class Guesses:
        multilingual = True

        def detect_language(self, *_: object) -> tuple[str, float]:
            return "fr", probability

    prepared.steps = dataclasses.replace(prepared.steps, recogniser=lambda _: Guesses())  # type: ignore[arg-type, return-value]
    file = prepared(jfk)
    assert (file.language, file.warnings) == ("fr", warnings)
