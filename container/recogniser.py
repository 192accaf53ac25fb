"""Speech to words: whisper.cpp over one chunk of audio at a time, with the model kept in memory."""

import atexit
import ctypes
import functools
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import _pywhispercpp as whisper
import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from chalicelib.jobs import Guard
from chalicelib.transcript import Chunk, Segment, Span
from container import accelerator, encoder, ggml, mel
from container.alignment import Token, complete, segments
from container.binary import MalformedFile, Reader
from container.blas import Products
from container.catalogue import ModelError
from container.guards import ALL, guarded
from container.loudness import level, raised

RATE = 16_000

WINDOW = 30.0
"""Seconds that Whisper hears at once."""

SHORTEST_AUDIO = 1.0
"""Seconds below which audio is filled up with silence: whisper.cpp passes over less than 0.1."""

FULL_CONTEXT, POSITION_FRAMES = 1500, 2
"""Encoder positions for a window, and frames of the spectrum that become one."""

CONTEXT_PER_SECOND, SPARE_CONTEXT, LEAST_CONTEXT = 50, 64, 500
"""Encoder positions per second of audio, how many more to grant, and how many at least.

With too few the decoder repeats itself, above all over short audio, and each new attempt costs more than they do.
Measured on 87 clips of 1 to 5 seconds, 612 words: wrong words and seconds of processor time by LEAST_CONTEXT

         400      500      600      768
tiny.en  37, 30   27, 32   26, 37   36, 45
base     21, 54   20, 72   20, 89   21, 110
"""

TOKENS_PER_SECOND, SPARE_TOKENS = 12, 24
"""More than anybody can say: a decoder that loops over a short sound is stopped early."""

BEST_OF = 2
"""Attempts at each temperature above zero, where the first one looked wrong."""

STAMP_SECONDS = 0.02
"""Distance of two time stamps."""

UNHEARD_PROMISED, UNHEARD = 0.3, 1.5
"""Seconds of speech left over that are heard in another pass: if the decoder said that there is more, and if not."""

SHORTEST_STEP = 0.5
"""Seconds by which a pass must have got on for another to follow."""

LEAD = 0.2
"""Seconds before speech at which another pass starts."""

Samples = NDArray[np.float32]

NO_SAMPLES: Samples = np.empty(0, np.float32)
"""With these, whisper.cpp hears the spectrum that it has."""


class Recogniser:
    """One model in memory. Not for several threads at once: a context decodes one audio at a time."""

    def __init__(self, model_path: Path, threads: int = 1) -> None:
        """Load a ggml model. Raises ModelError if that is impossible."""
        model, self._filters = _head(model_path)
        self.multilingual = model.multilingual
        self._threads = threads
        params = whisper.whisper_context_default_params()
        params.use_gpu = False
        params.flash_attn = False  # excludes alignment, and is no faster on CPUs
        params.dtw_token_timestamps = True
        params.dtw_aheads_preset = _alignment_heads(model)
        params.dtw_n_top = 2
        params.dtw_mem_size = (1 << 30) if model.text_state >= 1024 else (256 << 20)
        _hush()
        self._encoding: Callable[[], AbstractContextManager[None]] = nullcontext
        positions = _device()
        if positions is not None and model.audio_state <= encoder.LARGEST:
            with _usable(model_path):
                rest, blocks = encoder.parted(model_path, threads)
            self._encoding = functools.partial(positions.leading_to, blocks)
            self._context = whisper.whisper_init_from_buffer_with_params(_capsule(rest), len(rest), params)
        else:
            self._context = whisper.whisper_init_from_file_with_params(str(model_path), params)
        threadpoolctl.threadpool_limits(threads, "blas")
        self._eot = whisper.whisper_token_eot(self._context)
        self._begin = whisper.whisper_token_beg(self._context)

    def close(self) -> None:
        """Give the memory back; the recogniser is of no use afterwards."""
        if self._context is not None:
            whisper.whisper_free(self._context)
            self._context, self._encoding = None, nullcontext

    def transcribe(
        self,
        audio: Samples,
        chunk: Chunk,
        *,
        language: str = "en",
        translate: bool = False,
        prompt: str = "",
        guards: Collection[Guard] = ALL,
    ) -> list[Segment]:
        """The words of one chunk: `audio` are its samples, float32 from -1 to 1 at 16 kHz, at most 30 s.

        Times are on the timeline that the chunk's are on. Words lie within the chunk's spans of speech. `translate`
        (into English) has no effect on models that know English only; `prompt` is vocabulary to expect.
        """
        audio = raised(audio, level(audio))
        found: list[Segment] = []
        start, speech = chunk.start, chunk.speech
        while speech:
            tokens = self._hear(audio[round((start - chunk.start) * RATE) :], language, translate, prompt, guards)
            tokens, resume = complete(tokens)
            heard = segments(tokens, Chunk(start=start, end=chunk.end, speech=speech), guards)
            found += heard
            end = heard[-1].end if heard else start
            resume, enough = (end, UNHEARD) if resume is None else (max(end, start + resume), UNHEARD_PROMISED)
            speech = _after(speech, resume)
            if resume < start + SHORTEST_STEP or sum(span.end - span.start for span in speech) < enough:
                break
            start = max(resume, speech[0].start - LEAD)
        return guarded(found, guards)

    def detect_language(self, audio: Samples) -> tuple[str, float]:
        """The code and probability of the language spoken in up to 30 s of speech."""
        if not self.multilingual:
            return "en", 1.0
        self._widen_context()
        audio = audio[: int(WINDOW * RATE)]
        self._listen(raised(audio, level(audio)), FULL_CONTEXT)
        probabilities = np.zeros(whisper.whisper_lang_max_id() + 1, np.float32)
        with self._encoding():
            best = whisper.whisper_lang_auto_detect(self._context, 0, self._threads, probabilities)
            if best < 0:
                raise RuntimeError("language detection failed")
        return whisper.whisper_lang_str(best), float(probabilities[best])

    def _widen_context(self) -> None:
        """Undo the short `audio_ctx` of the last call, which sticks: set the full one, and stop before encoding."""
        params = self._params(WINDOW, "en", False, "", ALL)
        params.set_encoder_begin_callback(lambda _: False)
        whisper.whisper_full(self._context, params, NO_SAMPLES, 0)

    def _listen(self, audio: Samples, context: int) -> None:
        """Gives whisper.cpp the audio, and silence after it: should it hear a second window, that has so many positions
        as well.
        """
        padding = max(0, int(SHORTEST_AUDIO * RATE) - len(audio))
        heard = mel.spectrum(np.pad(audio, (0, padding)), self._filters, 2 * POSITION_FRAMES * context)
        whisper.whisper_set_mel(self._context, heard, heard.shape[1], heard.shape[0])

    def _hear(
        self, audio: Samples, language: str, translate: bool, prompt: str, guards: Collection[Guard]
    ) -> list[Token]:
        """The tokens of one pass over the audio; times are seconds from its start."""
        seconds = max(SHORTEST_AUDIO, len(audio) / RATE)
        params = self._params(seconds, language, translate, prompt, guards)
        self._listen(audio, params.audio_ctx)
        with self._encoding():
            code = whisper.whisper_full(self._context, params, NO_SAMPLES, 0)
            if code:
                raise RuntimeError(f"whisper_full failed with code {code}")
        data = [
            whisper.whisper_full_get_token_data(self._context, segment, index)
            for segment in range(whisper.whisper_full_n_segments(self._context))
            for index in range(whisper.whisper_full_n_tokens(self._context, segment))
        ]
        return [self._token(token) for token in data if token.id < self._eot or token.id >= self._begin]

    def _token(self, data: Any) -> Token:
        if data.id >= self._begin:
            return Token(b"", data.p, (data.id - self._begin) * STAMP_SECONDS)
        return Token(whisper.whisper_token_to_bytes(self._context, data.id), data.p, data.t_dtw / 100)

    def _params(self, seconds: float, language: str, translate: bool, prompt: str, guards: Collection[Guard]) -> Any:
        """Every parameter that matters, anew for each call: nothing sticks.

        `single_segment` makes whisper.cpp hear the audio once and return all tokens, time stamps among them.
        """
        params = whisper.whisper_full_default_params(whisper.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
        params.n_threads = self._threads
        params.print_progress = params.print_timestamps = params.print_realtime = params.print_special = False
        params.language = language
        params.translate = translate and self.multilingual
        params.initial_prompt = prompt
        params.no_context = True
        params.single_segment = True
        params.token_timestamps = False
        params.suppress_blank = True
        params.temperature, params.temperature_inc = 0.0, 0.2 if Guard.ATTEMPTS in guards else 0.0
        params.entropy_thold, params.logprob_thold, params.no_speech_thold = 2.4, -1.0, 0.6
        params.greedy = {"best_of": BEST_OF}
        params.max_tokens = round(SPARE_TOKENS + TOKENS_PER_SECOND * seconds)
        params.audio_ctx = min(FULL_CONTEXT, max(LEAST_CONTEXT, round(CONTEXT_PER_SECOND * seconds) + SPARE_CONTEXT))
        params.duration_ms = round(1000 * seconds)
        return params


class Shelf:
    """Holds the recogniser last asked for. The one before is closed first: two large models may not fit."""

    def __init__(self, load: Callable[[str], Recogniser]) -> None:
        self._load = load
        self._held: tuple[str, Recogniser] | None = None

    def get(self, model: str) -> Recogniser:
        if self._held is None or self._held[0] != model:
            if self._held is not None:
                self._held[1].close()
            self._held = None
            self._held = model, self._load(model)
        return self._held[1]


def _after(speech: list[Span], time: float) -> list[Span]:
    return [Span(start=max(span.start, time), end=span.end) for span in speech if span.end > time]


def _device() -> encoder.Positions | None:
    """What leads to encoders, of the device that takes work from ggml; `None` if this is another ggml.

    ggml has no lock for devices, and threads load their first models at the same time.
    """
    with _registering:
        return _registered()


_registering = threading.Lock()


@functools.cache
def _registered() -> encoder.Positions | None:
    positions = encoder.Positions()
    return positions if accelerator.register(b"numpy", {b"MUL_MAT": Products(), b"ADD": positions}) else None


def _capsule(data: bytes) -> object:
    """The address of bytes, as the binding takes addresses. Good for as long as they live."""
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
    return make(("PyCapsule_New", ctypes.pythonapi))(data, None, None)


def _head(model_path: Path) -> tuple[ggml.Hyperparameters, NDArray[np.float32]]:
    """The hyper-parameters and mel filters of a model."""
    with _usable(model_path), model_path.open("rb") as file:
        reader = Reader(file, model_path.name)
        model, filters = ggml.read_hyperparameters(reader), ggml.read_filters(reader)
        if filters.shape != (model.mels, mel.FREQUENCIES):
            raise reader.error("its mel filters have the wrong size")
        return model, filters


@contextmanager
def _usable(model_path: Path) -> Iterator[None]:
    """Has errors of reading a model be ModelErrors."""
    try:
        yield
    except FileNotFoundError:
        raise ModelError(f"The model {model_path.name} is not installed.") from None
    except MalformedFile as damage:
        raise ModelError(f"The model {model_path.name} is damaged. {damage}") from None


def _alignment_heads(model: ggml.Hyperparameters) -> Any:
    """The attention heads of this model that follow the audio, as whisper.cpp names their preset."""
    sizes = {4: "TINY", 6: "BASE", 12: "SMALL", 24: "MEDIUM", 32: "LARGE"}
    name = sizes.get(model.audio_layers, "N_TOP_MOST")
    if name == "LARGE":
        name = "LARGE_V3" if model.mels == 128 else "LARGE_V2"
        if model.text_layers == 4:
            name = "LARGE_V3_TURBO"
    elif not model.multilingual:
        name += "_EN"
    if model.text_layers not in (model.audio_layers, 4):
        name = "N_TOP_MOST"
    return getattr(whisper.whisper_alignment_heads_preset, f"WHISPER_AHEADS_{name}")


def _hush() -> None:
    """Keep whisper.cpp from writing to standard error; the binding must let go of the callback before Python ends."""
    whisper.whisper_log_set(lambda _level, _text: None)
    atexit.register(whisper.whisper_log_set, None)
