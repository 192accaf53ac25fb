"""whisper.cpp with a model in memory, which hears one sound at a time."""

import atexit
import functools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _pywhispercpp as whisper
import numpy as np
import threadpoolctl

from container import accelerator, ggml, mel
from container.alignment import Token
from container.binary import MalformedFile
from container.blas import Products
from container.engine import (
    BEST_OF,
    FULL_CONTEXT,
    LEAST_ENTROPY,
    LEAST_PROBABILITY,
    NO_SPEECH,
    POSITION_FRAMES,
    STEP,
    WINDOW,
    Request,
    Samples,
    filled,
    length,
    most_tokens,
    positions,
)
from container.media import RATE

NO_SAMPLES: Samples = np.empty(0, np.float32)
"""With these, whisper.cpp hears the spectrum that it has."""


ROOM = 219
"""The most tokens but one that whisper.cpp has room for: where it finds no end among these it gives none at all."""


class WhisperCpp:
    """An engine. A context decodes one audio at a time."""

    at_once = 1
    led = False
    """What comes of that was measured with tiny and base alone."""

    def __init__(self, model_path: Path, model: ggml.Hyperparameters, filters: mel.Matrix, threads: int) -> None:
        """Raises MalformedFile."""
        self.multilingual = model.multilingual
        self._filters, self._threads = filters, threads
        params = whisper.whisper_context_default_params()
        params.use_gpu = False
        params.flash_attn = False  # excludes alignment, and is no faster on CPUs
        params.dtw_token_timestamps = True
        params.dtw_aheads_preset = _alignment_heads(model)
        params.dtw_n_top = 2
        params.dtw_mem_size = (1 << 30) if model.text_state >= 1024 else (256 << 20)
        # whisper.cpp takes a file for whole that lacks its last bytes, and ends Python over one that lacks more.
        with model_path.open("rb") as file:
            ggml.check(file, model_path.name)
        _hush()
        with _registering:
            _register()
        self._context = whisper.whisper_init_from_file_with_params(str(model_path), params)
        if self._context is None:
            raise MalformedFile(f"whisper.cpp cannot use {model_path.name}.")
        threadpoolctl.threadpool_limits(threads, "blas")
        self._eot = whisper.whisper_token_eot(self._context)

    def close(self) -> None:
        """Give the memory back; the engine is of no use afterwards."""
        if self._context is not None:
            whisper.whisper_free(self._context)
            self._context = None

    def hear(self, sounds: Sequence[Samples], request: Request, _: Sequence[str]) -> list[list[Token]]:
        return [self._hear(sound, request) for sound in sounds]

    def detect_language(self, sound: Samples) -> tuple[str, float]:
        self._widen_context()
        self._listen(sound[: int(WINDOW * RATE)], FULL_CONTEXT)
        probabilities = np.zeros(whisper.whisper_lang_max_id() + 1, np.float32)
        best = whisper.whisper_lang_auto_detect(self._context, 0, self._threads, probabilities)
        if best < 0:
            raise RuntimeError("language detection failed")
        return whisper.whisper_lang_str(best), float(probabilities[best])

    def _widen_context(self) -> None:
        """Undo the short `audio_ctx` of the last call, which sticks: set the full one, and stop before encoding."""
        params = self._params(WINDOW, Request())
        params.set_encoder_begin_callback(lambda _: False)
        whisper.whisper_full(self._context, params, NO_SAMPLES, 0)

    def _listen(self, sound: Samples, context: int) -> None:
        """Gives whisper.cpp the sound, and silence after it: should it hear a second window, that has so many positions
        as well.
        """
        heard = mel.spectrum(filled(sound), self._filters, 2 * POSITION_FRAMES * context)
        whisper.whisper_set_mel(self._context, heard, heard.shape[1], heard.shape[0])

    def _hear(self, sound: Samples, request: Request) -> list[Token]:
        params = self._params(length(sound), request)
        self._listen(sound, params.audio_ctx)
        code = whisper.whisper_full(self._context, params, NO_SAMPLES, 0)
        if code:
            raise RuntimeError(f"whisper_full failed with code {code}")
        data = [
            whisper.whisper_full_get_token_data(self._context, segment, index)
            for segment in range(whisper.whisper_full_n_segments(self._context))
            for index in range(whisper.whisper_full_n_tokens(self._context, segment))
        ]
        tokens = [self._token(token) for token in data if token.id < self._eot]
        # What comes after the last did not find room, so it seems to last to the end: another pass hears it again.
        return tokens[:-1] if len(tokens) > params.max_tokens else tokens

    def _token(self, data: Any) -> Token:
        return Token(whisper.whisper_token_to_bytes(self._context, data.id), data.p, data.t_dtw / 100)

    def _params(self, seconds: float, request: Request) -> Any:
        """Every parameter that matters, anew for each call: nothing sticks.

        `single_segment` makes whisper.cpp hear the audio once and return all tokens.
        """
        params = whisper.whisper_full_default_params(whisper.whisper_sampling_strategy.WHISPER_SAMPLING_GREEDY)
        params.n_threads = self._threads
        params.print_progress = params.print_timestamps = params.print_realtime = params.print_special = False
        params.language = request.language
        params.translate = request.translate and self.multilingual
        params.initial_prompt = request.prompt
        params.no_context = True
        params.single_segment = params.no_timestamps = True
        params.token_timestamps = False
        params.suppress_blank = True
        params.temperature, params.temperature_inc = 0.0, STEP if request.attempts else 0.0
        params.entropy_thold, params.logprob_thold, params.no_speech_thold = LEAST_ENTROPY, LEAST_PROBABILITY, NO_SPEECH
        params.greedy = {"best_of": BEST_OF}
        params.max_tokens = min(most_tokens(seconds), ROOM)
        params.audio_ctx = positions(seconds)
        params.duration_ms = round(1000 * seconds)
        return params


_registering = threading.Lock()
"""ggml has no lock for devices, and threads load their first models at the same time."""


@functools.cache
def _register() -> None:
    accelerator.register(b"numpy", {b"MUL_MAT": Products()})


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
