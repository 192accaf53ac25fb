"""Speech to words: whisper.cpp over one chunk of audio at a time, with the model kept in memory."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _pywhispercpp as whisper
import numpy as np
from numpy.typing import NDArray

from container.alignment import Token, segments
from container.transcript import Segment, Span

RATE = 16_000

WINDOW = 30.0
"""Seconds that Whisper hears at once."""

SHORTEST_AUDIO = 1.0
"""Seconds below which audio is filled up with silence: whisper.cpp passes over less than 0.1."""

CONTEXT_PER_SECOND, SPARE_CONTEXT = 50, 64
"""Encoder positions per second of audio, and how many more to grant: too few make the decoder repeat itself."""

UNHEARD = 1.5
"""Seconds of speech after the last word that make a second hearing worth while: the decoder stopped early."""

Audio = NDArray[np.float32]


class ModelError(Exception):
    """The model file cannot be used; the message says why."""


@dataclass(frozen=True)
class Hyperparameters:
    """The head of a ggml model file, see whisper.cpp's `whisper_model_load`."""

    vocabulary: int
    audio_layers: int
    text_layers: int
    mel_bins: int

    @classmethod
    def read(cls, path: Path) -> "Hyperparameters":
        with path.open("rb") as file:
            head = file.read(48)
        if len(head) < 48 or head[:4] != b"lmgg":
            raise ModelError(f"{path.name} is not a ggml model.")
        _, vocabulary, _, _, _, audio_layers, _, _, _, text_layers, mel_bins, _ = struct.unpack("<12i", head)
        return cls(vocabulary, audio_layers, text_layers, mel_bins)

    @property
    def multilingual(self) -> bool:
        return self.vocabulary >= 51865

    def alignment_heads(self) -> Any:
        """The attention heads of this model that follow the audio, as whisper.cpp names their preset."""
        if self.text_layers != self.audio_layers:
            preset = "LARGE_V3_TURBO" if (self.audio_layers, self.text_layers) == (32, 4) else "N_TOP_MOST"
        elif self.audio_layers == 32:
            preset = "LARGE_V3" if self.mel_bins == 128 else "LARGE_V2"
        else:
            size = {4: "TINY", 6: "BASE", 12: "SMALL", 24: "MEDIUM"}[self.audio_layers]
            preset = size if self.multilingual else f"{size}_EN"
        return getattr(whisper.whisper_alignment_heads_preset, f"WHISPER_AHEADS_{preset}")


class Recogniser:
    """One model in memory. Not for several threads at once: a context decodes one audio at a time."""

    def __init__(self, model_path: Path, threads: int = 1) -> None:
        if not model_path.is_file():
            raise ModelError(f"The model {model_path.name} is not installed.")
        head = Hyperparameters.read(model_path)
        self.multilingual = head.multilingual
        self._threads = threads
        params = whisper.whisper_context_default_params()
        params.use_gpu = False
        params.flash_attn = False  # excludes alignment, and is slower on CPUs
        params.dtw_token_timestamps = True
        params.dtw_aheads_preset = head.alignment_heads()
        params.dtw_n_top = 2
        params.dtw_mem_size = (1 << 30) if head.audio_layers >= 24 else (256 << 20)
        _hush()
        self._context = whisper.whisper_init_from_file_with_params(str(model_path), params)
        if not whisper.whisper_model_n_vocab(self._context):
            raise ModelError(f"The model {model_path.name} cannot be loaded.")
        self._eot = whisper.whisper_token_eot(self._context)
        self._begin = whisper.whisper_token_beg(self._context)

    @property
    def languages(self) -> list[str]:
        """Codes of the languages that the model knows."""
        return languages() if self.multilingual else ["en"]

    def close(self) -> None:
        """Give the memory back; the recogniser is of no use afterwards."""
        if self._context is not None:
            whisper.whisper_free(self._context)
            self._context = None

    def transcribe(
        self,
        audio: Audio,
        *,
        speech: list[Span] | None = None,
        language: str = "en",
        translate: bool = False,
        prompt: str = "",
    ) -> list[Segment]:
        """The words of one chunk: float32 samples at 16 kHz, at most 30 s of them.

        `speech` are the spans of the chunk in which somebody speaks, in seconds from its start, as the voice activity
        detection found them: words lie within them. All times returned are seconds from the chunk's start too.
        """
        duration = len(audio) / RATE
        spans = [Span(start=0.0, end=duration)] if speech is None else speech
        found: list[Segment] = []
        start = 0.0
        while spans:
            tokens = self._hear(audio[int(start * RATE) :], language, translate, prompt)
            heard = segments(tokens, spans, start, duration)
            found += heard
            end = heard[-1].end if heard else duration
            spans = [Span(start=max(span.start, end), end=span.end) for span in spans if span.end > end]
            if sum(span.end - span.start for span in spans) < UNHEARD or end <= start:
                break
            start = max(end, spans[0].start - 0.2)
        return found

    def detect_language(self, audio: Audio) -> tuple[str, float]:
        """The code and probability of the language spoken in up to 30 s of speech."""
        if not self.multilingual:
            return "en", 1.0
        window = np.ascontiguousarray(audio[: int(WINDOW * RATE)], np.float32)
        probabilities = np.zeros(whisper.whisper_lang_max_id() + 1, np.float32)
        whisper.whisper_pcm_to_mel(self._context, window, len(window), self._threads)
        best = whisper.whisper_lang_auto_detect(self._context, 0, self._threads, probabilities)
        if best < 0:
            raise RuntimeError("language detection failed")
        return whisper.whisper_lang_str(best), float(probabilities[best])

    def _hear(self, audio: Audio, language: str, translate: bool, prompt: str) -> list[Token]:
        """The tokens of one pass over the audio; times are seconds from its start."""
        padding = max(0, int(SHORTEST_AUDIO * RATE) - len(audio))
        samples = np.ascontiguousarray(np.pad(audio, (0, padding)), np.float32)
        params = self._params(len(samples) / RATE, language, translate, prompt)
        code = whisper.whisper_full(self._context, params, samples, len(samples))
        if code:
            raise RuntimeError(f"whisper_full failed with code {code}")
        return [
            self._token(whisper.whisper_full_get_token_data(self._context, segment, index))
            for segment in range(whisper.whisper_full_n_segments(self._context))
            for index in range(whisper.whisper_full_n_tokens(self._context, segment))
        ]

    def _token(self, data: Any) -> Token:
        if data.id > self._begin:
            return Token(b"", data.p, (data.id - self._begin) / 50)
        text = whisper.whisper_token_to_bytes(self._context, data.id) if data.id < self._eot else b""
        return Token(text, data.p, data.t_dtw / 100)

    def _params(self, seconds: float, language: str, translate: bool, prompt: str) -> Any:
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
        params.temperature, params.temperature_inc = 0.0, 0.2
        params.entropy_thold, params.logprob_thold, params.no_speech_thold = 2.4, -1.0, 0.6
        params.audio_ctx = min(1500, round(CONTEXT_PER_SECOND * seconds) + SPARE_CONTEXT)
        return params


def languages() -> list[str]:
    """Codes of the languages that multilingual models know."""
    return [whisper.whisper_lang_str(index) for index in range(whisper.whisper_lang_max_id() + 1)]


def _hush() -> None:
    """Keep whisper.cpp from writing to standard error."""
    whisper.whisper_log_set(_ignore)


def _ignore(_level: int, _text: str) -> None:
    pass
