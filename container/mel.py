"""What Whisper hears of a sound: its spectrum on the mel scale, as whisper.cpp makes it, ten times as fast."""

import numpy as np
from numpy.typing import NDArray

WINDOW, HOP = 400, 160
"""Samples of a frame, and from frame to frame: 25 and 10 ms."""

FREQUENCIES = WINDOW // 2 + 1

FAINTEST = 1e-10
"""Power below which all is silence."""

RANGE = 8.0
"""Powers of ten below the loudest that are told apart."""

HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)

Matrix = NDArray[np.float32]


def spectrum(audio: NDArray[np.float32], filters: Matrix, frames: int) -> Matrix:
    """[mels, frames] of `audio`, 16 kHz, more than half a window, with silence after it or cut off at `frames`.

    `filters` is [mels, frequencies], as models come with them. The first frame has its middle at the first sample,
    before which the sound is mirrored. The loudest frame of all, if cut off or not, sets what counts as faint.
    """
    half = WINDOW // 2
    heard = 1 + (len(audio) + half) // HOP
    padded = np.concatenate([audio[half:0:-1], audio, np.zeros(WINDOW, np.float32)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:heard] * HANN
    transformed = np.fft.rfft(windows)
    power = filters @ (transformed.real**2 + transformed.imag**2).T
    mels = np.full((len(filters), max(frames, heard)), np.log10(FAINTEST), np.float32)
    np.log10(np.maximum(power, np.float32(FAINTEST)), out=mels[:, :heard])
    np.maximum(mels, mels.max() - np.float32(RANGE), out=mels)
    return (mels[:, :frames] + np.float32(4)) / np.float32(4)
