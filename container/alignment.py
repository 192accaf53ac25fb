"""From the recogniser's tokens to words whose times are true.

Whisper's cross-attention, through dynamic time warping, tells where each token ends, and is good to a tenth of a second
within connected speech, but knows nothing of pauses. The voice activity detection knows the pauses to a few
hundredths of a second, but nothing of words. Together: each pause is put between the two words it lies nearest to.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from statistics import median

from chalicelib.jobs import Guard
from chalicelib.transcript import Chunk, Segment, Span, Word
from container.guards import ALL, describes_sound

HALF_WORD = 0.12
"""Seconds before its end at which a word is certainly spoken."""

LONGEST_SYLLABLE = 0.6
"""Seconds by which attention may be wrong about the end of a word; more, and there are words missing."""

LONGEST_WORD = 2.0
"""Seconds that the first word of a span may take; speech before that was not recognised."""

UNUSED = 0.3
"""What it costs to leave a span without words, in seconds that a word is moved instead."""

SQUEEZED = 1.0
"""What it costs to put a word where no time is left for it, in the same unit.

Without punctuation attention rests on the last word before a pause until the next one begins: it seems to end there,
but the time for speaking it is before the pause.
"""

OUTSIDE = 1.0
"""Seconds by which the time of a word must miss all speech to count as outside of it."""

OPENING = (' "', " '", " (", " [", " “", " ‘", " «", " ¿", " ¡", "「", "『", "（", "《")
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
    """A piece of text (UTF-8, perhaps not whole characters), or a time stamp between segments if `text` is empty.

    `end` is in seconds from the start of the audio: where the token, or the segment, ends.
    """

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


def complete(tokens: list[Token]) -> tuple[list[Token], float | None]:
    """The tokens that make whole segments, and the second from which to hear on if there is more to hear.

    Whisper closes each segment with a time stamp and opens the next with another. If its output stops after an opening
    stamp, or in the middle of a segment, it ran out of room and is to be asked again from there.
    """
    stamps = [index for index, token in enumerate(tokens) if not token.text and index > 0 and tokens[index - 1].text]
    if not stamps or stamps[-1] == len(tokens) - 1:
        return tokens, None
    closing = stamps[-1]
    opening = tokens[closing + 1]
    return tokens[: closing + 1], tokens[closing].end if opening.text else opening.end


def segments(tokens: list[Token], chunk: Chunk, guards: Collection[Guard] = ALL) -> list[Segment]:
    """Segments with timed words, on the timeline of the chunk that the tokens were heard in."""
    groups = [_pieces(group, chunk.start) for group in _groups(tokens)]
    if Guard.SOUNDS in guards:
        groups = [group for group in groups if not describes_sound("".join(piece.text for piece in group))]
    if Guard.OUTSIDE in guards:
        groups = _inside(groups, chunk.speech)
    words = iter(_timed([piece for group in groups for piece in group], chunk))
    return [Segment.of([next(words) for _ in group]) for group in groups if group]


def _groups(tokens: list[Token]) -> Iterator[list[Token]]:
    """The tokens between time stamps."""
    group: list[Token] = []
    for token in tokens:
        if token.text:
            group.append(token)
        elif group:
            yield group
            group = []
    if group:
        yield group


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


def _inside(groups: list[list[_Piece]], speech: list[Span]) -> list[list[_Piece]]:
    """The words during which, or near which, somebody speaks.

    A word's time is from the end of the one before it to its own: attention tells no more.
    """
    kept, before = [], float("-inf")
    for group in groups:
        inside = []
        for piece in group:
            start, before = min(before, piece.end), piece.end
            if any(span.start - OUTSIDE < piece.end and start < span.end + OUTSIDE for span in speech):
                inside.append(piece)
        kept.append(inside)
    return kept


def _characters(tokens: list[Token]) -> Iterator[tuple[str, float, float]]:
    """Tokens as text: those that split a character between them are joined."""
    pending, probability = b"", 1.0
    for token in tokens:
        pending += token.text
        probability = min(probability, token.probability)
        try:
            text = pending.decode()
        except UnicodeDecodeError:
            continue
        yield text, probability, token.end
        pending, probability = b"", 1.0


def _stands_alone(text: str) -> bool:
    """Whether the text is a word of its own though no space says so."""
    return any(first <= character <= last for character in text for first, last in UNSPACED)


def _timed(pieces: list[_Piece], chunk: Chunk) -> list[Word]:
    """Words in order, without overlaps, each within one span of speech."""
    if not pieces or not chunk.speech:
        return []
    lag = _lag(pieces, _places(pieces, chunk.speech), chunk.speech)
    pieces = [replace(piece, end=piece.end + lag, last=piece.last + lag) for piece in pieces]
    places = _places(pieces, chunk.speech)
    words: list[Word] = []
    for index, (piece, place) in enumerate(zip(pieces, places, strict=True)):
        span = chunk.speech[place]
        end = min(max(piece.end, span.start), span.end)
        if place not in places[index + 1 :] and span.end - end < LONGEST_SYLLABLE:
            end = span.end
        start = max(span.start, end - LONGEST_WORD) if place not in places[:index] else words[-1].end
        start, end = round(start, 3), round(max(start, end), 3)
        words.append(Word(start=start, end=end, text=piece.text, probability=min(1.0, piece.probability)))
    return words


def _lag(pieces: list[_Piece], places: list[int], speech: list[Span]) -> float:
    """Seconds by which speech ends later than attention to it, in this audio.

    That is the median over the words before pauses, if punctuation follows: without it attention rests on the last
    word until the next one is spoken.
    """
    final = dict(zip(places, pieces, strict=True))
    lags = [speech[place].end - piece.end for place, piece in final.items() if piece.last > piece.end]
    near = [lag for lag in lags if abs(lag) < LONGEST_SYLLABLE]
    return median(near) if near else 0.0


def _places(pieces: list[_Piece], speech: list[Span]) -> list[int]:
    """For each word the number of the span that it is spoken in: the nearest ones that keep the order.

    By dynamic programming over the words: the cost of a span is its distance from the word's middle, something if there
    is no time for the word between the one before it and its end, and for each span before that is left without a word.
    """
    costs = [place * UNUSED for place in range(len(speech))]
    choices: list[list[int]] = []
    previous = pieces[0].end - 2 * HALF_WORD
    for piece in pieces:
        middle = piece.end - min(HALF_WORD, (piece.end - previous) / 2)
        before, choice = costs, []
        costs = []
        for place, span in enumerate(speech):
            best = min(range(place + 1), key=lambda other: before[other] + max(0, place - other - 1) * UNUSED)
            skipped = max(0, place - best - 1) * UNUSED
            choice.append(best)
            distance = max(0.0, span.start - middle, middle - span.end)
            costs.append(before[best] + skipped + distance + SQUEEZED * _squeeze(previous, piece.end, span))
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
