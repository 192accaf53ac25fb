"""Faint speech made loud enough to be noticed: neither voice activity detection nor recognition hear whispers."""

import numpy as np
from numpy.typing import NDArray

FRAME = 512
"""Samples over which loudness is measured: 32 ms."""

LOUD_FRAMES = 10
"""Frames that must be loud for the sound to be: a third of a second, a click is shorter."""

SILENCE = 1e-10
"""Mean power of what counts as digital silence: -100 dB."""

ENOUGH = -25.0
"""dB relative to full scale that the loudest frames reach in any ordinary recording; what does is left as it is."""

MOST_GAIN = 50.0
"""dB by which sound is raised at most."""

Samples = NDArray[np.float32]


def level(samples: Samples) -> float:
    """dB relative to full scale that the loudest frames of samples from -1 to 1 reach."""
    frames = np.pad(samples, (0, -len(samples) % FRAME)).reshape(-1, FRAME)
    power = np.sort(np.mean(frames * frames, axis=1))
    if not len(power):
        return -100.0
    loud = power[-LOUD_FRAMES] if len(power) >= LOUD_FRAMES else power[-1]
    return 10 * float(np.log10(max(SILENCE, loud)))


def raised(samples: Samples, loudest: float) -> Samples:
    """The samples of a sound whose loudest frames reach `loudest` dB, as loud as ordinary ones."""
    gain = min(MOST_GAIN, ENOUGH - loudest)
    if gain <= 0:
        return samples
    louder: Samples = np.clip(samples * np.float32(10 ** (gain / 20)), -1, 1)
    return louder
