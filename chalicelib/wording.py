"""How words make up text: cleaned, in order of time, where they stand in it, where sentences end."""

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from unicodedata import category, east_asian_width, name

from chalicelib.transcript import Segment, Word

# The marks of the scripts that Whisper's languages are written in.
SENTENCE_ENDS = frozenset(
    ".!?…。।॥።፧။។\N{ARABIC QUESTION MARK}\N{ARABIC FULL STOP}\N{ARMENIAN FULL STOP}"
    "\N{FULLWIDTH EXCLAMATION MARK}\N{FULLWIDTH QUESTION MARK}\N{FULLWIDTH FULL STOP}"
    "\N{HALFWIDTH IDEOGRAPHIC FULL STOP}"
)
CLAUSE_ENDS = frozenset(
    ",;:—、፣፤၊\N{EN DASH}\N{ARABIC COMMA}\N{ARABIC SEMICOLON}"
    "\N{FULLWIDTH COMMA}\N{FULLWIDTH SEMICOLON}\N{FULLWIDTH COLON}\N{HALFWIDTH IDEOGRAPHIC COMMA}"
)
TITLES = frozenset("mr mrs ms dr prof st sr sra".split())
LAST_WORD = re.compile(r"\w[\w.]*$")


def clean(text: str) -> str:
    """`text` on one line, without control characters, lone surrogates and doubled spaces."""
    if not text.isprintable():
        text = "".join(" " if category(c) in ("Cc", "Zl", "Zp") else c for c in text if category(c) != "Cs")
    return " ".join(text.split())


def tidied(segments: Sequence[Segment]) -> list[Segment]:
    """Copies with clean texts, without empty words and segments.

    None starts before the one before it of the same speaker ends. Starts are trusted more than ends: a word ends where
    the next one starts, if not earlier. A segment lasts from its first word to its last.
    """
    tidy = [segment for segment in map(cleaned, segments) if segment.text]
    for speaker in dict.fromkeys(segment.speaker for segment in tidy):
        timed = [part for segment in tidy if segment.speaker == speaker for part in parts(segment)]
        starts = list(accumulate((part.start for part in timed), max, initial=0.0))[1:]
        for part, start, following in zip(timed, starts, [*starts, float("inf")][1:], strict=True):
            part.start, part.end = start, max(start, min(part.end, following))
    for segment in tidy:
        if segment.words:
            segment.start, segment.end = segment.words[0].start, segment.words[-1].end
    return tidy


def parts(segment: Segment) -> Sequence[Word | Segment]:
    return segment.words or [segment]


def cleaned(segment: Segment) -> Segment:
    words = [word.model_copy(update={"text": clean(word.text)}) for word in segment.words]
    words = [word for word in words if word.text]
    text = clean(segment.text) or " ".join(word.text for word in words)
    return segment.model_copy(update={"text": text, "words": words})


def slices(segment: Segment) -> list[str]:
    """The text of a tidy segment cut before each of its words, so that the slices joined are the text.

    A slice ends with a space where the text has one. There are none if the words are not those of the text.
    """
    text, cuts, position = segment.text, [], 0
    for word in segment.words:
        found = text.find(word.text, position)
        between = text[position:found]
        if found < 0 or holds_words(between):
            return []
        cuts.append(position + between.rfind(" ") + 1 if " " in between else found)
        position = found + len(word.text)
    if not cuts or holds_words(text[position:]):
        return []
    return [text[start:end] for start, end in zip([0, *cuts[1:]], [*cuts[1:], len(text)], strict=True)]


def holds_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


def joined(texts: Sequence[str]) -> str:
    """The texts of successive segments as one text, with spaces where their script has them."""
    rest = (f" {after}" if spaced(before, after) else after for before, after in pairwise(texts))
    return "".join([*texts[:1], *rest])


def spaced(before: str, after: str) -> bool:
    """Whether there is a space between two sentences: not in Chinese and Japanese."""
    return not (ideographic(before[-1:]) or ideographic(after[:1]))


def ideographic(character: str) -> bool:
    """Whether `character` is one of those, letters or punctuation, that are written without spaces between them.

    Korean and emoji are as wide, but have spaces.
    """
    return width(character) == 2 and category(character)[0] in "LNP" and not name(character, "").startswith("HANGUL")


def width(text: str) -> int:
    """How many columns `text` takes: East Asian wide characters take two, combining ones none (UAX #11)."""
    return len(text) if text.isascii() else sum(map(columns, text))


def columns(character: str) -> int:
    if category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def core(text: str) -> str:
    """`text` without the quotes and brackets that close after it."""
    while text and (text[-1] in "\"'" or category(text[-1]) in ("Pe", "Pf", "Pi")):
        text = text[:-1]
    return text


def ends_sentence(text: str, following: str = "") -> bool:
    """Whether a sentence ends with `text`; `following` is the text after it, if there is any.

    No sentence ends before a small letter, with an initial, a title or an abbreviation such as "e.g.".
    """
    stem = core(text)
    if not stem or stem[-1] not in SENTENCE_ENDS:
        return False
    first = next((character for character in following if character.isalnum()), "")
    return not first.islower() and not abbreviated(stem)


def abbreviated(text: str) -> bool:
    word = LAST_WORD.search(text)
    if not word or not word[0].endswith("."):
        return False
    *_, letters, _ = word[0].lower().split(".")
    return letters in TITLES or (len(letters) == 1 and letters != letters.upper())


def ends_clause(text: str) -> bool:
    stem = core(text)
    return stem != "" and stem[-1] in CLAUSE_ENDS
