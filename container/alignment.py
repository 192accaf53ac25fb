"""From the recogniser's tokens to words whose times are true.

Whisper's cross-attention, through dynamic time warping, tells where each token ends, and is good to a tenth of a second
within connected speech, but knows nothing of pauses. The voice activity detection knows the pauses to a few
hundredths of a second, but nothing of words. Together: each pause is put between the two words it lies nearest to.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median_high, median_low

from chalicelib.jobs import Guard
from chalicelib.transcript import Chunk, Segment, Span, Word
from chalicelib.wording import ends_sentence
from container.guards import ALL, describes_sound, opens_sound

HALF_WORD = 0.12
"""Seconds before its end at which a word is certainly spoken."""

LONGEST_SYLLABLE = 0.6
"""Seconds by which attention may be wrong about the end of a word; more, and there are words missing."""

LONGEST_WORD = 2.0
"""Seconds that the first word of a span may take; speech before that was not recognised."""

UNUSED = 0.3
"""What it costs to leave a span without words, in seconds that a word is moved instead."""

RESTED, BEGUN = 4.0, 0.05
"""What it costs if attention would have rested on a word for a second in which somebody speaks, in the same unit: it
rests in pauses. A pause may last two minutes, and a word must not be put before it for a cough there. Of what comes
after the pause, attention may take in so many seconds.
"""

SQUEEZED = 1.0
"""What it costs to put a word where no time is left for it, in the same unit.

Without punctuation attention rests on the last word before a pause until the next one begins: it seems to end there,
but the time for speaking it is before the pause.
"""

PAUSE = 1.0
"""Seconds without words that end a segment."""

OPENING = (' "', " '", " (", " [", " *", " “", " ‘", " «", " ¿", " ¡", "「", "『", "（", "《")
"""How punctuation begins that belongs to the word after it."""
UNSPACED = [
    ("\u0e00", "\u0eff"),  # Thai, Lao
    ("\u1000", "\u109f"),  # Burmese
    ("\u1780", "\u17ff"),  # Khmer
    ("\u3040", "\u30ff"),  # hiragana, katakana
    ("\u3400", "\u9fff"),  # Chinese characters
    ("\U00020000", "\U0003ffff"),
]
"""Scripts that are written without spaces between words."""


@dataclass(frozen=True)
class Token:
    """A piece of text (UTF-8, perhaps not whole characters), and the second of the audio where it ends."""

    text: bytes
    probability: float
    end: float


@dataclass(frozen=True)
class _Piece:
    """A word before its times are known: it ends at `end`, its closing punctuation at `last`."""

    text: str
    probability: float
    end: float
    last: float
    spoken: bool


def segments(tokens: list[Token], chunk: Chunk, guards: Collection[Guard] = ALL) -> list[Segment]:
    """Segments with timed words, on the timeline that the chunk is on; its tokens' times are those at which they were
    heard, without the middle of long pauses.

    Each is a sentence, or less where there are pauses.
    """
    pieces = _pieces(tokens, chunk.start)
    if Guard.SOUNDS in guards:
        pieces = _said(pieces)
    return [Segment.of(group) for group in _groups(_timed(pieces, chunk))]


def _groups(words: list[Word]) -> Iterator[list[Word]]:
    """The words of each segment."""
    start = 0
    for end, (word, following) in enumerate(pairwise(words), start=1):
        if following.start - word.end >= PAUSE or ends_sentence(word.text.strip(), following.text):
            yield words[start:end]
            start = end
    if words:
        yield words[start:]


def _said(pieces: list[_Piece]) -> list[_Piece]:
    """Without phrases that describe a sound."""
    kept: list[_Piece] = []
    phrase: list[_Piece] = []
    for index, piece in enumerate(pieces):
        phrase.append(piece)
        text = "".join(part.text for part in phrase)
        following = pieces[index + 1].text if index + 1 < len(pieces) else ""
        first = following.strip()[:1]
        begins = opens_sound(following) or (first.isalpha() and not first.islower())
        closed = begins and describes_sound(text)
        if not following or closed or ends_sentence(text.strip(), "" if opens_sound(following) else following):
            kept += [] if describes_sound(text) else phrase
            phrase = []
    return kept


def _pieces(tokens: list[Token], start: float) -> list[_Piece]:
    """Tokens become words, with punctuation at the word it belongs to: the one before, but for opening brackets.

    The times of tokens are from `start` on.
    """
    pieces: list[_Piece] = []
    for text, probability, time in _characters(tokens):
        end = time + start
        spoken = any(character.isalnum() for character in text)
        last = pieces[-1] if pieces else None
        if last and not last.spoken:
            pieces[-1] = _Piece(last.text + text, probability, end, end, spoken)
        elif last and not spoken and not text.startswith(OPENING):
            pieces[-1] = replace(last, text=last.text + text, last=end)
        elif last and spoken and not text.startswith(" ") and not _stands_alone(text):
            pieces[-1] = _Piece(last.text + text, min(last.probability, probability), end, end, True)
        else:
            pieces.append(_Piece(text, probability, end, end, spoken))
    return [piece for piece in pieces if piece.spoken]


def _characters(tokens: list[Token]) -> Iterator[tuple[str, float, float]]:
    """Tokens as text: those that split a character between them are joined."""
    pending, probability = b"", 1.0
    for token in tokens:
        pending += token.text
        probability = min(probability, token.probability)
        try:
            text = pending.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                continue
            text = pending.decode(errors="ignore")
        if text:
            yield text, probability, token.end
        pending, probability = b"", 1.0


def _stands_alone(text: str) -> bool:
    """Whether the text is a word of its own though no space says so."""
    return any(first <= character <= last for character in text for first, last in UNSPACED)


def _timed(pieces: list[_Piece], chunk: Chunk) -> list[Word]:
    """Words in order, without overlaps, each within one span of speech."""
    if not pieces or not chunk.speech:
        return []
    heard = _heard(chunk)
    lag = _lag(pieces, _places(pieces, heard), heard)
    pieces = [replace(piece, end=piece.end + lag, last=piece.last + lag) for piece in pieces]
    places = _places(pieces, heard)
    words: list[Word] = []
    for index, (piece, place) in enumerate(zip(pieces, places, strict=True)):
        span = chunk.speech[place]
        end = min(max(piece.end + span.start - heard[place].start, span.start), span.end)
        if place not in places[index + 1 :] and span.end - end < LONGEST_SYLLABLE:
            end = span.end
        start = max(span.start, end - LONGEST_WORD) if place not in places[:index] else words[-1].end
        start, end = round(start, 3), round(max(start, end), 3)
        words.append(Word(start=start, end=end, text=piece.text, probability=min(1.0, piece.probability)))
    return words


def _heard(chunk: Chunk) -> list[Span]:
    """Its speech at the times at which it is heard."""
    gaps = [(after.start, after.start - before.end) for before, after in pairwise(chunk.heard)]
    left_out = [sum(seconds for end, seconds in gaps if end <= span.start) for span in chunk.speech]
    return [Span(start=span.start - o, end=span.end - o) for span, o in zip(chunk.speech, left_out, strict=True)]


def _lag(pieces: list[_Piece], places: list[int], speech: list[Span]) -> float:
    """Seconds by which speech ends later than attention to it, in this audio.

    That is the median over the words before pauses, if punctuation follows: without it attention rests on the last
    word until the next one is spoken. With it that happens as well: of two medians, the smaller lag.
    """
    final = dict(zip(places, pieces, strict=True))
    lags = [speech[place].end - piece.end for place, piece in final.items() if piece.last > piece.end]
    near = [lag for lag in lags if abs(lag) < LONGEST_SYLLABLE]
    return min(median_low(near), median_high(near), key=abs) if near else 0.0


def _places(pieces: list[_Piece], speech: list[Span]) -> list[int]:
    """For each word the number of the span that it is spoken in: the nearest ones that keep the order.

    By dynamic programming over the words: the cost of a span is its distance from the word's time, something if there
    is no time for the word between the one before it and its end, and for each span before that is left without a word.
    """
    costs = [place * UNUSED for place in range(len(speech))]
    choices: list[list[int]] = []
    previous = pieces[0].end - 2 * HALF_WORD
    for piece in pieces:
        half = min(HALF_WORD, (piece.end - previous) / 2)
        latest = piece.end - half
        # Before punctuation attention may have rested on the word for all of a pause.
        rests = piece.last > piece.end
        earliest = previous + half if rests else latest
        spoken = sum(max(0.0, min(span.end, latest) - span.start) for span in speech) - BEGUN if rests else 0.0
        before, choice = costs, []
        costs = []
        for place, span in enumerate(speech):
            best = min(range(place + 1), key=lambda other: before[other] + max(0, place - other - 1) * UNUSED)
            skipped = max(0, place - best - 1) * UNUSED
            choice.append(best)
            distance = max(0.0, span.start - latest, earliest - span.end)
            spoken -= span.end - span.start
            rested = RESTED * max(0.0, spoken)
            costs.append(before[best] + skipped + distance + rested + SQUEEZED * _squeeze(previous, piece.end, span))
        choices.append(choice)
        previous = piece.end
    place = costs.index(min(costs))
    places = []
    for choice in reversed(choices):
        places.append(place)
        place = choice[place]
    return places[::-1]


def _squeeze(start: float, end: float, span: Span) -> float:
    """Which part of half a word, spoken at some time from `start` to `end`, finds no time in the span: from 0 to 1."""
    needed = min(HALF_WORD, end - start)
    room = min(end, span.end) - max(start, span.start)
    return 1.0 - max(0.0, min(1.0, room / needed)) if needed > 0 else 0.0
