"""Whose voice it is: speech to vectors that are alike for one speaker, through CAM++ and onnxruntime."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf

from chalicelib.transcript import Chunk, Span, Voice
from container import catalogue
from container.campplus import FRAMES, MELS
from container.media import RATE

FRAME, HOP, FFT = 400, 160, 512
WINDOW = FRAME + (FRAMES - 1) * HOP
"""Samples that are heard at once, 1.5 s."""

STEP = 1.5
"""Seconds between the starts of two windows in speech that goes on."""

PAUSE = 0.3
"""Seconds of pause that end a window: the next to speak may be another."""

SHORTEST = 0.3
"""Seconds of speech that tell something of the voice."""

PREEMPHASIS, LOWEST, QUIETEST = 0.97, 20.0, 1.1920929e-07

UNREADABLE = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf)
"""What onnxruntime raises for files that hold no network, or not all of one."""

Samples = NDArray[np.float32]


class Voices:
    """The model in memory, about 80 MB, for any number of threads. Raises ModelError if its file is damaged."""

    def __init__(self, model_path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])
        except UNREADABLE:
            raise catalogue.damaged(catalogue.VOICES, model_path, "It is no network.") from None

    def hear(self, audio: Samples, chunk: Chunk) -> list[Voice]:
        """The voices in a chunk, whose samples these are: of each stretch of speech one at least, in order of time."""
        found = []
        for span in windows(chunk.speech):
            first, last = (round((second - chunk.start) * RATE) for second in (span.start, span.end))
            speech = audio[first:last]
            if len(speech) >= FRAME:
                vector = self._vector(np.resize(speech, WINDOW))
                found.append(Voice(start=span.start, end=span.end, vector=[round(float(x), 3) for x in vector]))
        return found

    def _vector(self, samples: Samples) -> NDArray[np.float32]:
        """Of length 1."""
        mels = features(samples)
        (voices,) = self._session.run(None, {"features": (mels - mels.mean(0))[np.newaxis]})
        vector: NDArray[np.float32] = voices[0] / np.linalg.norm(voices[0])
        return vector


def windows(speech: Sequence[Span]) -> Iterator[Span]:
    """The stretches to hear: of up to a window each, none of which holds a pause."""
    length = WINDOW / RATE
    for run in runs(speech):
        if run.end - run.start < SHORTEST:
            continue
        count = max(1, round((run.end - run.start) / STEP))
        for index in range(count):
            start = run.start + index * (run.end - run.start) / count
            end = min(run.end, start + length)
            yield Span(start=max(run.start, min(start, end - SHORTEST)), end=end)


def runs(speech: Sequence[Span]) -> Iterator[Span]:
    """Speech without the pauses below `PAUSE`."""
    current: Span | None = None
    for span in speech:
        if current and span.start - current.end < PAUSE:
            current = Span(start=current.start, end=span.end)
        else:
            if current:
                yield current
            current = span
    if current:
        yield current


def features(samples: Samples) -> Samples:
    """Logarithms of the power in mel bands, a row each 10 ms, as Kaldi computes them."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    frames = frames - frames.mean(1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    shaped = (frames - np.float32(PREEMPHASIS) * before) * np.hanning(FRAME).astype(np.float32) ** np.float32(0.85)
    power = np.square(np.abs(np.fft.rfft(shaped, FFT)))[:, : FFT // 2]
    return np.log(np.maximum(power @ mel_bands(), QUIETEST)).astype(np.float32)


def mel_bands() -> NDArray[np.float64]:
    """What each frequency adds to each band."""
    edges = np.linspace(mel(np.array(LOWEST)), mel(np.array(RATE / 2)), MELS + 2)
    at = mel(np.arange(FFT // 2) * RATE / FFT)[:, np.newaxis]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling))


def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127.0 * np.log(1.0 + hertz / 700.0)
