"""Small Whisper models by networks of our own, which hear several sounds at once."""

import math
from collections.abc import Sequence
from pathlib import Path

import _pywhispercpp
import numpy as np
import threadpoolctl

from container import warping
from container.alignment import Token
from container.decoding import Decoding, Said
from container.engine import (
    FULL_CONTEXT,
    LAST_TEMPERATURE,
    POSITION_SECONDS,
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
from container.network import Network, Sounds

TEMPERATURES = [float(temperature) for temperature in np.arange(0, LAST_TEMPERATURE + STEP / 2, STEP)]

BEFORE = 24
"""Tokens of what was said before a sound that go before its text, some 100 letters of English. Wrong words of tracks
without and with (docs/benchmarks.md): base 622 and 559 of 18, tiny.en 1,023 and 974 of 27.
"""


class Whisper:
    """An engine."""

    at_once = 4
    """The decoder's weights are read once for all. More sounds take as long for each, and more memory."""

    led = True

    def __init__(self, model_path: Path, threads: int) -> None:
        """Raises MalformedFile."""
        threadpoolctl.threadpool_limits(threads, "blas")
        self._network: Network = Network(model_path, threads)
        self._decoding = Decoding(self._network)
        self._words = self._network.vocabulary
        self.multilingual = self._words.multilingual

    def close(self) -> None:
        """Give the memory back; the engine is of no use afterwards."""
        self.__dict__.clear()

    def hear(self, sounds: Sequence[Samples], request: Request, before: Sequence[str]) -> list[list[Token]]:
        seconds = [length(sound) for sound in sounds]

        def listen(numbers: list[int]) -> Sounds:
            heard = [filled(sounds[number]) for number in numbers]
            return self._network.listen(heard, [positions(seconds[number]) for number in numbers])

        most = [most_tokens(each) for each in seconds]
        task = self._words.task(request.language, request.translate)
        prompts = self._prompts(request.prompt, before)
        said = self._decoding.say(listen, most, task, prompts, TEMPERATURES if request.attempts else TEMPERATURES[:1])
        return [self._tokens(*each) for each in zip(said, seconds, strict=True)]

    def detect_language(self, sound: Samples) -> tuple[str, float]:
        heard = self._network.listen([filled(sound[: int(WINDOW * RATE)])], [FULL_CONTEXT])
        start = np.array([[[self._words.start]]])
        scores = self._network.read(start, self._network.nothing_read(1), heard).scores[0, 0]
        shares = scores[self._words.languages.start : self._words.languages.stop]
        shares = np.exp(shares - shares.max())
        best = int(shares.argmax())
        return _pywhispercpp.whisper_lang_str(best), float(shares[best] / shares.sum())

    def _prompts(self, asked: str, before: Sequence[str]) -> list[list[int]]:
        """What goes before each text: what was asked for, then what was said before. All are read at once, so they are
        as long as the shortest.
        """
        first = self._words.tokens(asked)[-self._network.longest_prompt :]
        rests = [self._words.tokens(f" {text}" if text else "") for text in before]
        length = min(BEFORE, self._network.longest_prompt - len(first), *map(len, rests))
        return [[*first, *rest[len(rest) - length :]] for rest in rests]

    def _tokens(self, said: Said, seconds: float) -> list[Token]:
        """Those of text: each ends where what was listened to for the next begins. The last is left out: it is the end,
        or what comes after it did not find room, and another pass hears the rest.
        """
        if said.nothing:
            return []
        shares = np.stack(said.attention, axis=1)[:, :, : round(seconds / POSITION_SECONDS)]
        ends = (POSITION_SECONDS * warping.starts(shares)[1:]).tolist()
        return [
            Token(self._words.texts[token], math.exp(logarithm), end)
            for token, logarithm, end in zip(said.tokens, said.logarithms, ends, strict=False)
        ]
