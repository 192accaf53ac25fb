"""Speech to words: chunks of audio, heard by a model that is kept in memory."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from chalicelib.jobs import Guard
from chalicelib.transcript import Chunk, Segment, Span
from container import ggml, mel
from container.alignment import Token, segments
from container.binary import MalformedFile, Reader
from container.catalogue import ModelError
from container.engine import RATE, Engine, Request, Samples
from container.guards import ALL, guarded
from container.loudness import level, raised
from container.network import follows
from container.whisper import Whisper
from container.whispercpp import WhisperCpp

UNHEARD = 1.5
"""Seconds of speech left over after the last word that are heard in another pass."""

SHORTEST_STEP = 0.5
"""Seconds by which a pass must have got on for another to follow."""

LEAD = 0.2
"""Seconds before speech at which another pass starts."""

LARGEST = 512
"""Numbers in a state of the models that have networks of our own, tiny and base: their whole numbers were measured with
these alone.
"""

Piece = tuple[Samples, Chunk]
"""A chunk after its audio."""

PLAIN = Request()


class Recogniser:
    """One model in memory. Not for several threads at once."""

    def __init__(self, model_path: Path, threads: int = 1) -> None:
        """Load a ggml model. Raises ModelError if that is impossible."""
        with _usable(model_path):
            model, filters = head(model_path)
            self._engine: Engine
            if model.audio_state <= LARGEST and follows(model):
                self._engine = Whisper(model_path, threads)
            else:
                self._engine = WhisperCpp(model_path, model, filters, threads)
        self.multilingual = self._engine.multilingual
        self.at_once = self._engine.at_once
        self.close = self._engine.close

    def transcribe(
        self, pieces: Sequence[Piece], request: Request = PLAIN, guards: Collection[Guard] = ALL
    ) -> list[list[Segment]]:
        """The words of each chunk, from its audio, at most 30 s.

        Times are on the timeline that the chunks are on. Words lie within a chunk's spans of speech. `translate` has no
        effect on models that know English only. `at_once` chunks of about the same length are best given together.
        """
        request = replace(request, attempts=Guard.ATTEMPTS in guards)
        passes = [_Passes(raised(audio, level(audio)), chunk) for audio, chunk in pieces]
        while left := [each for each in passes if each.speech]:
            heard = self._engine.hear([each.left for each in left], request)
            for each, tokens in zip(left, heard, strict=True):
                each.take(tokens, guards)
        return [guarded(each.found, guards) for each in passes]

    def detect_language(self, audio: Samples) -> tuple[str, float]:
        """The code and probability of the language spoken in up to 30 s of speech."""
        if not self.multilingual:
            return "en", 1.0
        return self._engine.detect_language(raised(audio, level(audio)))


class _Passes:
    """A chunk that is heard until all speech in it has been."""

    def __init__(self, audio: Samples, chunk: Chunk) -> None:
        self._audio, self._chunk, self._start = audio, chunk, chunk.start
        self.speech = chunk.speech
        self.found: list[Segment] = []

    @property
    def left(self) -> Samples:
        """What is still to be heard."""
        return self._audio[round((self._start - self._chunk.start) * RATE) :]

    def take(self, tokens: list[Token], guards: Collection[Guard]) -> None:
        """Takes what was heard of it."""
        start = self._start
        heard = segments(tokens, Chunk(start=start, end=self._chunk.end, speech=self.speech), guards)
        self.found += heard
        end = heard[-1].end if heard else start
        self.speech = _after(self.speech, end)
        if end < start + SHORTEST_STEP or sum(span.end - span.start for span in self.speech) < UNHEARD:
            self.speech = []
        else:
            self._start = max(end, self.speech[0].start - LEAD)


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


def head(model_path: Path) -> tuple[ggml.Hyperparameters, mel.Matrix]:
    """The hyper-parameters and mel filters of a model."""
    with model_path.open("rb") as file:
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
