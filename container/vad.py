"""Where somebody speaks: Silero's voice activity model over audio of any length, block by block.

The model file is `silero_vad_16k_sequence.onnx` of the package silero-vad 6.2 (MIT), whose network takes a whole
sequence of frames at once.
"""

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from container import catalogue, silero
from container.binary import MalformedFile
from container.loudness import level, raised
from container.media import RATE, as_floats
from container.silero import CONTEXT, FRAME, STATE

FRAME_SECONDS = FRAME / RATE

SILENCE = -96.0
"""Loudness of digital silence in dB below full scale, as 16 bits see it."""


BLOCK = 938 * FRAME
"""Samples, 30 s, that are made louder together if they are faint."""

FORGETTING = 6.0
"""dB a block by which the loudest that was heard before counts less: pauses between loud speech stay faint."""


@dataclass(frozen=True)
class Activity:
    """Frame n covers the seconds `[n, n + 1) * FRAME_SECONDS`."""

    probability: NDArray[np.float32]
    """That somebody speaks, 0 to 1."""
    loudness: NDArray[np.float32]
    """Mean power in dB relative to full scale."""
    duration: float
    """Seconds of audio heard."""


class SpeechDetector:
    """Listens to one stream of audio; needs 8 bytes a frame, 9 MB for 10 hours.

    Faint recordings are raised, 30 s at a time, before the model hears them; `loudness` is what it was.
    """

    def __init__(self, model_path: Path) -> None:
        self._session = _session(model_path)
        self._h = self._c = np.zeros((1, 1, STATE), np.float32)
        self._context = np.zeros(CONTEXT, np.float32)
        self._rest = np.zeros(0, np.float32)
        self._probabilities: list[NDArray[np.float32]] = []
        self._loudness: list[NDArray[np.float32]] = []
        self._samples = 0
        self._loudest = -math.inf

    def feed(self, samples: NDArray[np.int16]) -> None:
        """Hear the next samples, 16 kHz mono, any number of them."""
        self._samples += len(samples)
        audio = np.concatenate([self._rest, as_floats(samples)])
        while len(audio) >= BLOCK:
            self._hear(audio[:BLOCK])
            audio = audio[BLOCK:]
        self._rest = audio

    def finish(self) -> Activity:
        """What was heard from the first sample to the last; a last incomplete frame is filled up with silence."""
        if len(self._rest):
            self._hear(np.pad(self._rest, (0, -len(self._rest) % FRAME)))
            self._rest = self._rest[:0]
        empty = np.zeros(0, np.float32)
        return Activity(
            np.concatenate([empty, *self._probabilities]),
            np.concatenate([empty, *self._loudness]),
            self._samples / RATE,
        )

    def _hear(self, block: NDArray[np.float32]) -> None:
        power = np.mean(np.square(block.reshape(-1, FRAME)), axis=1)
        self._loudness.append(10 * np.log10(np.maximum(power, np.float32(10 ** (SILENCE / 10)))))
        self._loudest = max(level(block), self._loudest - FORGETTING)
        frames = raised(block, self._loudest).reshape(-1, FRAME)
        heads = np.vstack([self._context, frames[:-1, -CONTEXT:]])
        self._context = frames[-1, -CONTEXT:]
        inputs = {"input": np.hstack([heads, frames]), "h": self._h, "c": self._c}
        probabilities, self._h, self._c = self._session.run(None, inputs)
        self._probabilities.append(probabilities[:, 0])


@functools.cache
def _session(model_path: Path) -> onnxruntime.InferenceSession:
    """The model, loaded once: that takes as long as a minute of sound, and what it has heard is kept by the caller."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        network = silero.onnx(model_path.read_bytes())
    except MalformedFile as damage:
        raise catalogue.damaged(catalogue.VAD, model_path, str(damage)) from None
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
