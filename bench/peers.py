"""Other programs with the same weights, each in a process of its own: `python -m bench.peers WAY MODEL SOUND CORES`."""

import sys
import time
from collections.abc import Callable
from typing import Any

from bench.heard import Heard, Timed

BATCH = 8
"""Windows that faster-whisper's batched mode hears at once: its default."""


def faster_whisper(model: str, sound: str, cores: int, way: str) -> Heard:
    """faster-whisper, int8, from a folder with CTranslate2's weights.

    The ways: `sequential`, `vad` (sequential with its voice activity detection), `batched` (which has it always), and
    any of them with `+words` (times of words) or `+beam` (its default of five beams instead of greedy decoding).
    """
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    name, *extras = way.split("+")
    began = time.monotonic()
    whisper = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=cores)
    options: dict[str, Any] = {
        "language": "en",
        "beam_size": 5 if "beam" in extras else 1,
        "word_timestamps": "words" in extras,
    }
    if name == "batched":
        transcribe: Callable[..., Any] = BatchedInferencePipeline(whisper).transcribe
        options["batch_size"] = BATCH
    else:
        transcribe = whisper.transcribe
        options["vad_filter"] = name == "vad"
    loaded = time.monotonic()
    segments = list(transcribe(sound, **options)[0])
    words = [Timed(start=w.start, end=w.end, text=w.word) for segment in segments for w in segment.words or []]
    text = "".join(segment.text for segment in segments)
    return Heard(text=text, words=words, loading=loaded - began, recognising=time.monotonic() - loaded)


def pywhispercpp(model: str, sound: str, cores: int) -> Heard:
    """One call of pywhispercpp for the whole file, a segment a word."""
    from pywhispercpp.model import Model

    began = time.monotonic()
    whisper = Model(model, n_threads=cores, redirect_whispercpp_logs_to=None)
    loaded = time.monotonic()
    segments = whisper.transcribe(sound, language="en", token_timestamps=True, max_len=1, split_on_word=True)
    words = [Timed(start=s.t0 / 100, end=s.t1 / 100, text=s.text) for s in segments if s.text.strip()]
    text = " ".join(word.text.strip() for word in words)
    return Heard(text=text, words=words, loading=loaded - began, recognising=time.monotonic() - loaded)


def main() -> None:
    way, model, sound, cores = sys.argv[1:]
    if way == "pywhispercpp":
        heard = pywhispercpp(model, sound, int(cores))
    else:
        heard = faster_whisper(model, sound, int(cores), way)
    print(heard.model_dump_json())


if __name__ == "__main__":
    main()
