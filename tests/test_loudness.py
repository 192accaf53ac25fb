"""Faint sound is raised to an ordinary level, however short it is, and ordinary sound is left alone."""

import numpy as np
import pytest
from numpy.typing import NDArray

from container.loudness import ENOUGH, MOST_GAIN, level, raised


def tone(samples: int, decibels: float) -> NDArray[np.float32]:
    """A tone of a mean power of so many dB of full scale."""
    wave = np.sin(np.arange(samples, dtype=np.float32) * 2 * np.pi * 8 / 512)
    return wave * np.float32(np.sqrt(2) * 10 ** (decibels / 20))


@pytest.mark.parametrize("samples", [512, 2560, 5120, 16000], ids=lambda samples: f"{samples / 16000} s")
def test_faint_sound_of_any_length_is_raised_to_an_ordinary_level(samples: int) -> None:
    faint = tone(samples // 512 * 512, -45)
    assert level(faint) == pytest.approx(-45, abs=0.1)
    assert level(raised(faint, level(faint))) == pytest.approx(ENOUGH, abs=0.1)


def test_what_is_loud_enough_is_left_as_it_is() -> None:
    ordinary = tone(16000, -20)
    assert raised(ordinary, level(ordinary)) is ordinary


def test_nothing_is_raised_without_measure_or_beyond_full_scale() -> None:
    hardly_any = tone(16000, -95)
    assert level(raised(hardly_any, level(hardly_any))) <= -95 + MOST_GAIN + 0.1
    click = tone(16000, -60)
    click[8000] = 0.9
    assert np.abs(raised(click, level(click))).max() == 1


@pytest.mark.parametrize("samples", [0, 1, 100])
def test_next_to_nothing_does_no_harm(samples: int) -> None:
    nothing = np.zeros(samples, np.float32)
    assert level(nothing) == -100
    assert len(raised(nothing, level(nothing))) == samples
