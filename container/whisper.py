"""Small Whisper models by networks of our own, which hear several sounds at once."""

from collections.abc import Sequence
from pathlib import Path

import _pywhispercpp
import numpy as np
import threadpoolctl

from container import warping
from container.alignment import Token
from container.decoding import Bounds, Decoding, Said
from container.engine import (
    FULL_CONTEXT,
    LAST_TEMPERATURE,
    RATE,
    STAMP_SECONDS,
    STEP,
    WINDOW,
    Request,
    Samples,
    filled,
    length,
    most_tokens,
    positions,
)
from container.network import Network, Sounds

TEMPERATURES = [float(temperature) for temperature in np.arange(0, LAST_TEMPERATURE + STEP / 2, STEP)]


class Whisper:
    """An engine."""

    at_once = 4
    """The decoder's weights are read once for all; more would need much memory for keys and values of the sounds."""

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

    def hear(self, sounds: Sequence[Samples], request: Request) -> list[list[Token]]:
        """All for as long as the longest: what is after the end of one is silence."""
        seconds = [length(sound) for sound in sounds]
        heard = self._network.listen([filled(sound) for sound in sounds], positions(max(seconds)))
        bounds = [Bounds(each, most_tokens(each)) for each in seconds]
        task = self._words.task(request.language, request.translate)
        prompt = self._words.tokens(request.prompt)[-self._network.longest_prompt :]
        said = self._decoding.say(heard, bounds, task, prompt, TEMPERATURES if request.attempts else TEMPERATURES[:1])
        ends = self._ends(heard, said, task, seconds)
        return [self._tokens(*each) for each in zip(said, ends, strict=True)]

    def detect_language(self, sound: Samples) -> tuple[str, float]:
        heard = self._network.listen([filled(sound[: int(WINDOW * RATE)])], FULL_CONTEXT)
        start = np.array([[[self._words.start]]])
        scores = self._network.read(start, self._network.nothing_read(1), heard).scores[0, 0]
        shares = scores[self._words.languages.start : self._words.languages.stop]
        shares = np.exp(shares - shares.max())
        best = int(shares.argmax())
        return _pywhispercpp.whisper_lang_str(best), float(shares[best] / shares.sum())

    def _ends(self, heard: Sounds, said: list[Said], task: list[int], seconds: list[float]) -> list[list[float]]:
        """When each token of text ends, in seconds."""
        words = self._words
        before = [*task[:2], words.no_stamps]
        texts = [[token for token in one.tokens if token < words.end] for one in said]
        longest = max(len(text) for text in texts)
        rows = [[*before, *text, *[words.end] * (1 + longest - len(text))] for text in texts]
        read = self._network.read(np.array([[row] for row in rows]), self._network.nothing_read(len(said)), heard)
        found = []
        for attention, text, each in zip(read.attention[:, 0], texts, seconds, strict=True):
            kept = slice(len(before) - 1, len(before) + len(text))
            shares = attention[:, : kept.stop + 1, : round(each / STAMP_SECONDS)]
            found.append([float(place * STAMP_SECONDS) for place in warping.ends(shares, kept)] if text else [])
        return found

    def _tokens(self, said: Said, ends: list[float]) -> list[Token]:
        if said.nothing:
            return []
        words, times, found = self._words, iter(ends), []
        for token, logarithm in zip(said.tokens, said.logarithms, strict=True):
            probability = float(np.exp(logarithm))
            if token < words.end:
                found.append(Token(words.texts[token], probability, next(times)))
            elif token >= words.stamps:
                found.append(Token(b"", probability, (token - words.stamps) * STAMP_SECONDS))
        return found
