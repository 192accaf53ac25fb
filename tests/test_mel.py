"""The spectrum that Whisper hears, against whisper.cpp's own, by what a recogniser makes of it."""

from pathlib import Path

import _pywhispercpp as whisper
import numpy as np
import pytest
from numpy.typing import NDArray

from container import catalogue, mel, recogniser
from container.engine import Request
from container.media import decode
from container.whispercpp import WhisperCpp

FLAT = np.full((1, 201), 1 / 201, np.float32)


@pytest.fixture(scope="module")
def sound(jfk: Path) -> NDArray[np.float32]:
    return np.concatenate(list(decode(str(jfk)))).astype(np.float32) / np.float32(32768)


def tone(hertz: float, seconds: float) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * hertz * np.arange(round(16_000 * seconds)) / 16_000).astype(np.float32)


def test_its_shape_and_range() -> None:
    heard = mel.spectrum(tone(440, 1), FLAT, 300)
    assert heard.shape == (1, 300)
    assert heard.dtype == np.float32
    assert heard.max() - heard.min() <= mel.RANGE / 4
    assert heard[0, :100].min() > heard[0, 103:].max(), "silence follows"


def test_each_filter_hears_its_frequencies() -> None:
    one_each = np.eye(201, dtype=np.float32)
    for hertz in (400, 3000, 7000):
        heard = mel.spectrum(tone(hertz, 0.5), one_each, 50)
        assert set(heard[:, 5:45].argmax(0)) == {hertz / 40}


def test_what_is_cut_off_counts_for_what_is_faint() -> None:
    """As in whisper.cpp, which finds the loudest frame before it cuts."""
    quiet = tone(440, 1) / np.float32(100_000)
    loud_later = np.concatenate([quiet, tone(440, 1)])
    assert mel.spectrum(loud_later, FLAT, 90).mean() != mel.spectrum(quiet, FLAT, 90).mean()


def whisper_cpp(models_dir: Path) -> WhisperCpp:
    path = catalogue.path("tiny.en", models_dir)
    return WhisperCpp(path, *recogniser.head(path), 1)


def test_whisper_hears_the_same_as_by_its_own(models_dir: Path, sound: NDArray[np.float32]) -> None:
    engine = whisper_cpp(models_dir)
    context, params = engine._context, engine._params(len(sound) / 16_000, Request(attempts=False))

    def heard(samples: NDArray[np.float32]) -> tuple[list[int], list[float]]:
        assert whisper.whisper_full(context, params, samples, len(samples)) == 0
        count = whisper.whisper_full_n_tokens(context, 0)
        tokens = [whisper.whisper_full_get_token_data(context, 0, index) for index in range(count)]
        return [token.id for token in tokens], [token.p for token in tokens]

    engine._listen(sound, params.audio_ctx)
    ours, our_probabilities = heard(sound[:0])
    theirs, their_probabilities = heard(sound)
    assert len(ours) > 20
    assert ours == theirs
    # As near as to the same with 64 bits for each number: layers that are quantized make much of the last digits.
    assert np.abs(np.subtract(our_probabilities, their_probabilities)).mean() < 0.006


def test_a_second_window_hears_silence(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of frames that it was not given, whisper.cpp makes a noise."""
    given: list[NDArray[np.float32]] = []
    monkeypatch.setattr(whisper, "whisper_set_mel", lambda _context, frames, *_: given.append(frames))
    whisper_cpp(models_dir)._listen(tone(440, 6), 500)
    assert given[0].shape == (80, 2 * 2 * 500)
    assert (given[0][:, 603:] == given[0].min()).all()
