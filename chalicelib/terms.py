"""What texts are searched by: their words without case and accents; in scripts without spaces, each character."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chalicelib.wording import ideographic

Phrase = tuple[str, ...]
"""Terms that follow each other in a text."""

QUOTED = re.compile(r'"([^"]*)"?|([^\s"]+)')
ACCENTS = re.compile("[\u0300-\u036f]")
APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"


@dataclass(frozen=True)
class Term:
    """`text` is what characters `start` to `end` of a text are searched by."""

    text: str
    start: int
    end: int


def terms(text: str) -> list[Term]:
    """The terms of a text, in its order: `It's déjà-vu, 国` has `its`, `deja`, `vu` and `国`."""
    return [Term(folded, start, end) for start, end in _spans(text) if (folded := fold(text[start:end]))]


def phrases(query: str) -> list[Phrase]:
    """What a text must hold to be found: each word, and what stands in quotes as it stands there."""
    asked = (tuple(term.text for term in terms(quoted or word)) for quoted, word in QUOTED.findall(query))
    return list(dict.fromkeys(phrase for phrase in asked if phrase))


def marks(text: str, wanted: Sequence[Phrase]) -> list[tuple[int, int]]:
    """Where the phrases stand in `text`, from and to which character, in its order; none if one is not in it."""
    there = terms(text)
    words = [term.text for term in there]
    found: set[tuple[int, int]] = set()
    for phrase in wanted:
        length = len(phrase)
        places = [at for at in range(len(words) - length + 1) if tuple(words[at : at + length]) == phrase]
        if not places:
            return []
        found |= {(there[at].start, there[at + length - 1].end) for at in places}
    return sorted(found)


def fold(word: str) -> str:
    plain = ACCENTS.sub("", unicodedata.normalize("NFKD", word.casefold()))
    return "".join(character for character in unicodedata.normalize("NFC", plain) if character not in APOSTROPHES)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start: int | None = None
    for at, character in enumerate(text):
        if not character.isascii() and character.isalnum() and ideographic(character):
            if start is not None:
                yield start, at
            start = None
            yield at, at + 1
        elif character.isalnum() or unicodedata.category(character)[0] == "M":
            start = at if start is None else start
        elif start is not None and not (character in APOSTROPHES and text[at + 1 : at + 2].isalnum()):
            yield start, at
            start = None
    if start is not None:
        yield start, len(text)
