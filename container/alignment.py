"""From the recogniser's tokens to words whose times are true.

Whisper's cross-attention, through dynamic time warping, tells where each token ends, and is good to a tenth of a second
within connected speech, but knows nothing of pauses. The voice activity detection knows the pauses to a few
hundredths of a second, but nothing of words. Together: each pause is put between the two words it lies nearest to.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from container.transcript import Chunk, Segment, Span, Word

OPENING = (" \"", " '", " (", " [", " “", " ‘", " «", " ¿", " ¡", "「", "『", "（", "《")  # noqa: RUF001
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


def segments(tokens: list[Token], chunk: Chunk) -> list[Segment]:
    """Segments with timed words, on the timeline of the chunk that the tokens were heard in."""
    groups = [
        [replace(piece, end=piece.end + chunk.start, last=piece.last + chunk.start) for piece in pieces]
        for group in _groups(tokens)
        if (pieces := _pieces(group))
    ]
    words = iter(_timed([piece for group in groups for piece in group], chunk))
    return [_segment([next(words) for _ in group]) for group in groups]


def _segment(words: list[Word]) -> Segment:
    text = "".join(word.text for word in words).strip()
    return Segment(start=words[0].start, end=words[-1].end, text=text, words=words)


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


def _pieces(tokens: list[Token]) -> list[_Piece]:
    """Tokens become words, with punctuation at the word it belongs to: the one before, but for opening brackets."""
    pieces: list[_Piece] = []
    for text, probability, end in _characters(tokens):
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
        except UnicodeDecodeError:
            continue
        yield text, probability, token.end
        pending, probability = b"", 1.0


def _stands_alone(text: str) -> bool:
    """Whether the text is a word of its own though no space says so."""
    return any(first <= character <= last for character in text for first, last in UNSPACED)


def _timed(pieces: list[_Piece], chunk: Chunk) -> list[Word]:
    """Words in order, without overlaps, within the chunk, around its pauses."""
    starts = [chunk.start, *(piece.end for piece in pieces[:-1])]
    ends = [piece.end for piece in pieces]
    for pause in _pauses(chunk):
        boundary = _nearest_boundary(pieces, pause, chunk.start)
        if boundary > 0:
            ends[boundary - 1] = pause.start
        if boundary < len(pieces):
            starts[boundary] = pause.end
    return list(_ordered(pieces, starts, ends, chunk))


def _pauses(chunk: Chunk) -> list[Span]:
    edges = [chunk.start, *(edge for span in chunk.speech for edge in (span.start, span.end)), chunk.end]
    return [Span(start=start, end=end) for start, end in zip(edges[::2], edges[1::2], strict=True) if end > start]


def _nearest_boundary(pieces: list[_Piece], pause: Span, start: float) -> int:
    """The number of words that are spoken before the pause."""
    regions = [(start, start), *((piece.end, piece.last) for piece in pieces)]
    distances = [max(low - pause.end, pause.start - max(low, high), 0.0) for low, high in regions]
    return distances.index(min(distances))


def _ordered(pieces: list[_Piece], starts: list[float], ends: list[float], chunk: Chunk) -> Iterator[Word]:
    now = chunk.start
    for piece, start, end in zip(pieces, starts, ends, strict=True):
        start = min(max(start, now), chunk.end)
        now = min(max(end, start), chunk.end)
        probability = min(1.0, piece.probability)
        yield Word(start=round(start, 3), end=round(now, 3), text=piece.text, probability=probability)
