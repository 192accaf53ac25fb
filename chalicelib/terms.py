"""What texts are searched by: their words without case and accents; in scripts without spaces, each character."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chalicelib.wording import ideographic

Phrase = tuple[str, ...]
"""Terms that follow each other in a text."""

QUOTED = re.compile(r'"([^"]*)"?|([^\s"]+)')
# Thai, Lao, Burmese and Khmer, in which spaces end sentences rather than words.
SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
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
    # Whether what began there is a word by itself, to which only marks belong.
    alone = False
    for at, character in enumerate(text):
        if character.isalnum():
            single = not character.isascii() and (ideographic(character) or SPACELESS.match(character) is not None)
            if start is not None and (alone or single):
                yield start, at
                start = None
            if start is None:
                start, alone = at, single
        elif unicodedata.category(character)[0] == "M":
            if start is None:
                start, alone = at, False
        elif start is not None and (alone or not (character in APOSTROPHES and text[at + 1 : at + 2].isalnum())):
            yield start, at
            start = None
    if start is not None:
        yield start, len(text)
