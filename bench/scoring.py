"""How good a transcript is: words that are wrong, times that are wrong, words where nobody speaks."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median

import jiwer

from bench.heard import Timed
from bench.tracks import Utterance


@dataclass(frozen=True)
class Errors:
    """Words of the truth, and what is wrong with those that were heard."""

    words: int
    substituted: int
    deleted: int
    inserted: int

    @property
    def rate(self) -> float:
        return (self.substituted + self.deleted + self.inserted) / self.words


@dataclass(frozen=True)
class Times:
    """Medians over utterances, in seconds: how far their starts and ends are from the truth, and over how many."""

    start: float
    end: float
    starts: int
    ends: int


@cache
def normaliser() -> Callable[[str], str]:
    """Whisper's own for English: lower case, without punctuation and what is in brackets, numbers as figures."""
    from whisper_normalizer.english import EnglishTextNormalizer

    normalise: Callable[[str], str] = EnglishTextNormalizer()
    return normalise


def errors(truth: str, heard: str, normalise: Callable[[str], str]) -> Errors:
    found = jiwer.process_words(normalise(truth), normalise(heard))
    words = found.hits + found.substitutions + found.deletions
    return Errors(words, found.substitutions, found.deletions, found.insertions)


def spoken(text: str, normalise: Callable[[str], str]) -> int:
    """How many words a text has."""
    return len(normalise(text).split())


def times(utterances: Sequence[Utterance], heard: Sequence[Timed]) -> Times | None:
    """Compares the times of utterances whose first, or last, word was heard; `None` if there are none of one kind.

    Words are matched by their letters and digits, so an utterance that begins with a number in figures does not count.
    """
    truth = [(plain(word), utterance) for utterance in utterances for word in utterance.text.split()]
    edges = [index == 0 or truth[index - 1][1] is not utterance for index, (_, utterance) in enumerate(truth)]
    said = [word for word in heard if plain(word.text)]
    matcher = difflib.SequenceMatcher(None, [word for word, _ in truth], [plain(word.text) for word in said], False)
    starts, ends = [], []
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            at, word = block.a + offset, said[block.b + offset]
            if edges[at]:
                starts.append(abs(word.start - truth[at][1].start))
            if at + 1 == len(truth) or edges[at + 1]:
                ends.append(abs(word.end - truth[at][1].end))
    return Times(median(starts), median(ends), len(starts), len(ends)) if starts and ends else None


def plain(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()
