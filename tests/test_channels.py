"""Channels that are transcribed apart: through the real steps, with real ffmpeg and model."""

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.jobs import Channels, FileState, Options
from chalicelib.transcript import Segment
from container.hearing import NOT_SPLIT
from container.media import BLOCK, RATE, MediaError, decode
from container.stitching import interleaved, stitch
from tests.media_files import ffmpeg
from tests.spoken import SPEECH, said_by, spoken
from tests.stepped import Notes, Transcribed, transcribed

SPLIT = Options(model="tiny.en", channels=Channels.SPLIT)


@pytest.fixture(scope="module")
def interview(jfk: Path, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Transcribed:
    """Four seconds of the second channel's speech are said before the first channel's ends; a third one is silent."""
    folder = tmp_path_factory.mktemp("interview")
    speech = np.concatenate(list(decode(str(jfk))))
    sound = np.zeros((18 * RATE, 3), "<i2")
    sound[: len(speech), 0] = sound[7 * RATE :, 1][: len(speech)] = speech
    with wave.open(str(folder / "interview.wav"), "wb") as file:
        file.setparams((3, 2, RATE, 0, "NONE", "NONE"))
        file.writeframes(sound.tobytes())
    return transcribed(folder / "interview.wav", folder / "data", models_dir, SPLIT)


def words(text: str) -> str:
    return " ".join("".join(c for c in text.lower() if c.isalnum() or c == " ").split())


KENNEDY = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"


class TestInterview:
    def test_every_word_of_each_channel_is_there_once(self, interview: Transcribed) -> None:
        rows = [row.split("\t") for row in interview.texts["tsv"].splitlines()[1:]]
        assert {speaker for *_, speaker in rows} == {"Channel 1", "Channel 2"}
        for channel in ("Channel 1", "Channel 2"):
            assert words(" ".join(text for _, _, text, speaker in rows if speaker == channel)) == KENNEDY

    def test_times_are_true_and_in_order(self, interview: Transcribed) -> None:
        rows = [row.split("\t") for row in interview.texts["tsv"].splitlines()[1:]]
        starts = [int(start) for start, *_ in rows]
        assert starts == sorted(starts)
        first, second = (
            next(int(start) for start, _, _, speaker in rows if speaker == channel)
            for channel in ("Channel 1", "Channel 2")
        )
        assert second - first == pytest.approx(7000, abs=60)

    def test_the_channels_are_named_in_all_formats(self, interview: Transcribed) -> None:
        assert words(interview.texts["txt"]).startswith("channel 1 and so my fellow americans ask not")
        assert "\n\nChannel 2: And so" in interview.texts["txt"]
        assert "\nChannel 2: And so" in interview.texts["srt"]
        assert "\n<v Channel 2>And so" in interview.texts["vtt"]
        assert '"speaker": "Channel 2"' in interview.texts["json"]

    def test_the_speech_of_both_counts_and_the_silent_one_brings_nothing(self, interview: Transcribed) -> None:
        assert (interview.file.state, interview.file.warnings) == (FileState.SUCCEEDED, [])
        assert interview.file.audio_seconds == 18
        assert interview.file.speech_seconds == pytest.approx(2 * 10.7, abs=0.6)
        assert interview.file.speech_seconds_done == interview.file.speech_seconds


@pytest.mark.parametrize("channels", ["mono", "stereo|c0=c0|c1=-0.3*c0"])
def test_the_same_sound_is_transcribed_once(tmp_path: Path, models_dir: Path, jfk: Path, channels: str) -> None:
    ffmpeg("-i", jfk, "-af", f"pan={channels}" if "|" in channels else "anull", "-b:a", "64k", tmp_path / "a.mp3")
    notes = Notes(multilingual=False)
    result = transcribed(tmp_path / "a.mp3", tmp_path / "data", models_dir, SPLIT, recogniser=lambda _: notes)
    assert len(notes.told) == 1
    assert result.texts["tsv"].splitlines()[0] == "start\tend\ttext"
    assert result.file.warnings == [NOT_SPLIT]
    assert result.file.speech_seconds == pytest.approx(10.7, abs=0.3)


def tones(folder: Path, channels: int, seconds: float = 1) -> Path:
    """Each channel has a steady level of its own."""
    levels = "|".join(f"{0.01 * (channel + 1)}" for channel in range(channels))
    source = ["-f", "lavfi", "-i", f"aevalsrc={levels}:s=16000:d={seconds}"]
    ffmpeg(*source, "-c:a", "pcm_s16le", folder / "tones.wav")
    return folder / "tones.wav"


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_channels_stay_what_they_are(tmp_path: Path, channels: int) -> None:
    blocks = list(decode(str(tones(tmp_path, channels, 31)), split=True))
    assert [block.shape for block in blocks] == [(BLOCK, channels), (16_000, channels)]
    expected = [round(0.01 * (channel + 1) * 32768) for channel in range(channels)]
    for block in blocks:
        assert np.abs(block - np.array(expected)).max() <= 1


def test_a_late_start_is_filled_up_in_all_channels(tmp_path: Path) -> None:
    source = tones(tmp_path, 2)
    picture = ["-f", "lavfi", "-t", "3", "-i", "color=s=32x32:r=10"]
    ffmpeg(*picture, "-itsoffset", "1.5", "-i", source, "-c:a", "mp2", "-ac", "2", tmp_path / "late.ts")
    (block,) = decode(str(tmp_path / "late.ts"), split=True)
    begins = np.argmax(block > 100, axis=0) / 16_000
    assert begins.tolist() == pytest.approx([1.5, 1.5], abs=0.05)


def test_too_many_channels_are_refused(tmp_path: Path, models_dir: Path) -> None:
    source = tones(tmp_path, 9)
    with pytest.raises(MediaError, match="The sound has 9 channels, and at most 8 can be transcribed apart"):
        list(decode(str(source), split=True))
    failed = transcribed(source, tmp_path / "data", models_dir, SPLIT).file
    assert failed.error is not None
    assert (failed.state, failed.error.code) == (FileState.FAILED, "too_many_channels")


def told(segments: list[Segment]) -> list[tuple[str | None, str]]:
    return [(segment.speaker, segment.text) for segment in segments]


def test_somebody_who_goes_on_is_cut_where_another_begins() -> None:
    long = spoken("I think that we should go there now and see what it is like over there", speaker="Ann")
    assert told(interleaved([[long], [spoken("Yes.", 2.2, speaker="Bo")]])) == [
        ("Ann", "I think that we should go there now"),
        ("Bo", "Yes."),
        ("Ann", "and see what it is like over there"),
    ]


def test_who_is_about_to_end_is_not_cut() -> None:
    first, second = spoken("We should go there now", speaker="Ann"), spoken("No, we stay.", 1.0, speaker="Bo")
    assert interleaved([[second], [first], []]) == [first, second]


@given(st.lists(SPEECH, max_size=3))
def test_no_word_is_lost_or_doubled(speakers: list[list[Segment]]) -> None:
    apart = [stitch([said_by(segments, [f"S{n}"])]) for n, segments in enumerate(speakers)]
    row = interleaved(apart)
    starts = [segment.start for segment in row]
    assert starts == sorted(starts)
    for n, segments in enumerate(apart):
        own = [segment for segment in row if segment.speaker == f"S{n}"]
        assert [word for segment in own for word in segment.words] == [w for s in segments for w in s.words]
        assert "".join(segment.text for segment in own).replace(" ", "") == "".join(
            segment.text for segment in segments
        ).replace(" ", "")
