"""Speech to words: chunks of audio, heard by a model that is kept in memory."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from chalicelib.jobs import Guard
from chalicelib.transcript import Chunk, Segment, Span, Word
from chalicelib.wording import SENTENCE_ENDS, joined
from container import ggml, mel
from container.alignment import Token, segments
from container.binary import MalformedFile, Reader
from container.catalogue import ModelError
from container.engine import Engine, Request, Samples
from container.guards import ALL, guarded
from container.loudness import level, raised
from container.media import RATE
from container.network import follows
from container.whisper import Whisper
from container.whispercpp import WhisperCpp

UNHEARD = 1.5
"""Seconds of speech without words that are heard in another pass."""

SPELLED = 0.5
"""Seconds that a character of what is WRITTEN_SHORT may take, all of which attention puts at its end."""

WRITTEN_SHORT = re.compile(r"\d|\w[.@/:]\w|\b\w-\w\b")
"""Numbers, addresses and what is spelled: shorter than they are spoken."""

MOMENT = 0.001
"""Seconds to which the times of words are rounded."""

SHORTEST_STEP = 0.5
"""Seconds by which a pass must have got on for another to follow."""

LEAD = 0.2
"""Seconds around speech that another pass hears as well."""

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
        self,
        pieces: Sequence[Piece],
        request: Request = PLAIN,
        guards: Collection[Guard] = ALL,
        before: Sequence[Sequence[Segment]] = (),
    ) -> list[list[Segment]]:
        """The words of each chunk, from its audio, of which at most 30 s are heard.

        Times are on the timeline that the chunks are on. Words lie within a chunk's spans of speech. `translate` has no
        effect on models that know English only. `at_once` chunks of about the same length are best given together.
        `before` is what was said before each of them, as far as it is known: nothing, if not given.
        """
        request = replace(request, attempts=Guard.ATTEMPTS in guards)
        led_by = [_led_by(segments) for segments in before] if before and self._engine.led else [""]
        if not all(led_by):  # prompts are as long as the shortest
            led_by = [""] * len(pieces)
        passes = [
            _Passes(raised(audio, level(_heard(audio, chunk.start, chunk))), chunk, said)
            for (audio, chunk), said in zip(pieces, led_by, strict=True)
        ]
        while left := [each for each in passes if each]:
            heard = self._engine.hear([each.next for each in left], request, [each.before for each in left])
            for each, tokens in zip(left, heard, strict=True):
                each.take(tokens, guards)
        return [guarded(each.found, guards) for each in passes]

    def detect_language(self, audio: Samples, chunk: Chunk) -> tuple[str, float]:
        """The code and probability of the language spoken in a chunk, from its audio."""
        if not self.multilingual:
            return "en", 1.0
        heard = _heard(audio, chunk.start, chunk)
        return self._engine.detect_language(raised(heard, level(heard)))


class _Passes:
    """A chunk that is heard until all speech in it has been.

    What was left out of a pass is heard once more, and its rest until there is none. Only the first is told what was
    said `before`, and counts for nothing if anything was left out of it, unless there is nothing else: who says again
    what was said before may be taken not to have said it.
    """

    def __init__(self, audio: Samples, chunk: Chunk, before: str) -> None:
        self._audio, self._start, self.before = audio, chunk.start, before
        self._rests, self._gaps = [chunk] if chunk.speech else [], list[Chunk]()
        self._found, self._led = list[Segment](), list[Segment]()

    def __bool__(self) -> bool:
        return bool(self._rests or self._gaps)

    @property
    def next(self) -> Samples:
        """What is to be heard next."""
        return _heard(self._audio, self._start, (self._rests or self._gaps)[0])

    def take(self, tokens: list[Token], guards: Collection[Guard]) -> None:
        """Takes what was heard of it."""
        led, self.before = self.before, ""
        gap = not self._rests
        part = (self._rests or self._gaps).pop(0)
        heard = segments(tokens, part, guards) or self._led
        self._led = []
        *gaps, rest = _unheard(part, [word for segment in heard for word in segment.words])
        if led and (not heard or any([*gaps, rest])):
            self._rests, self._led = [part], heard
            return
        self._found += heard
        if heard and heard[-1].end >= part.start + SHORTEST_STEP:
            self._gaps += [each for each in gaps if each and not gap]
            (self._gaps if gap else self._rests).extend([rest] if rest else [])

    @property
    def found(self) -> list[Segment]:
        """All that was heard, in order."""
        return sorted(self._found, key=lambda segment: segment.start)


def _led_by(before: Sequence[Segment]) -> str:
    """The text that was said before, if the next one may follow its example: without punctuation, nor would have all
    chunks after it.
    """
    text = joined([segment.text for segment in before])
    return text if SENTENCE_ENDS.intersection(text) else ""


def _heard(audio: Samples, start: float, part: Chunk) -> Samples:
    """What is to be heard of a part, out of audio that starts at this second."""
    ends = ((round((span.start - start) * RATE), round((span.end - start) * RATE)) for span in part.heard)
    return np.concatenate([audio[first:last] for first, last in ends])


def _unheard(part: Chunk, words: Sequence[Word]) -> Iterator[Chunk | None]:
    """What was said for UNHEARD before each of the words, and after the last, if anything was."""
    starts, ends = [*(word.start for word in words), part.end], [part.start, *(word.end for word in words)]
    spelled = [*(SPELLED * len(word.text) if WRITTEN_SHORT.search(word.text) else 0.0 for word in words), 0.0]
    for start, end, longer in zip(ends, starts, spelled, strict=True):
        speech = [
            Span(start=max(span.start, start), end=min(span.end, end))
            for span in part.speech
            if min(span.end, end) - max(span.start, start) > MOMENT
        ]
        if sum(span.end - span.start for span in speech) < UNHEARD + longer:
            yield None
        else:
            edges = {"start": max(start, speech[0].start - LEAD), "end": min(end, speech[-1].end + LEAD)}
            yield part.model_copy(update={**edges, "speech": speech})


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
