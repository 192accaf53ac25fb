"""Captions that people can read, built from the times of the words.

The numbers follow Netflix's Timed Text Style Guide (General Requirements; English: 42 characters a line, two lines, 20
characters a second, 5/6 to 7 seconds) and the BBC Subtitle Guidelines (break lines and cues where the sentence breaks).
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple
from unicodedata import category

from chalicelib.transcript import Segment
from chalicelib.wording import columns, ends_clause, ends_sentence, ideographic, slices, spaced, width

# Columns: an East Asian wide character takes two.
LINE = 42
SHORTEST = 5 / 6
LONGEST = 7.0
COLUMNS_PER_SECOND = 20
# A caption that is hard to read in time stays this much longer than its last word, but no more: its end is a time
# that people rely on.
LINGER = 0.2
# The shortest pause, in seconds, that always ends a caption, and that does so after a sentence.
PAUSE = 1.0
SENTENCE_PAUSE = 0.5

# What it costs to break a line or a caption after a piece. Only the proportions matter.
AFTER_CLAUSE = 2.0
AFTER_WORD = 6.0
# A word of up to three letters is most often an article, preposition or conjunction: it belongs to the next one.
BEFORE_PHRASE = 4.0
AFTER_SHORT_WORD = 9.0
SHORT_WORD = 3
# More than anything but a line that is too long: a name is never shown without what is said.
AFTER_LABEL = 60.0
# What a caption costs, what it costs to go on in it after a sentence, and for each second of pause in it.
CAPTION = 3.0
SENTENCE_WITHIN = 6.0
SECOND_WITHIN = 4.0
# What a caption costs that could only be shown for an instant, that is nearly empty, or twice as fast as it should be.
TOO_SHORT = 6.0
TOO_EMPTY = 3.0
TOO_FAST = 2.0

# Closing marks and small kana may not begin a line, nor opening marks end it (JIS X 4051). These are the ones that
# Unicode's categories do not tell.
CLOSING = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶー々ゝゞ°")
OPENING = frozenset("¿¡#&@/\\")
ZERO_WIDTH_JOINER = "\u200d"


class Caption(NamedTuple):
    """One or two `lines` of one speaker, shown from `start` to `end` (seconds, in whole milliseconds)."""

    start: float
    end: float
    lines: list[str]
    speaker: str | None = None


class Piece(NamedTuple):
    """Text that is never cut, mostly a word; `space` says whether a space goes before it.

    `final`: a sentence or segment ends with it. `label`: it is the name of the speaker of what follows.
    """

    start: float
    end: float
    text: str
    space: bool
    final: bool = False
    speaker: str | None = None
    label: bool = False


def captions(segments: Sequence[Segment], labelled: bool = False) -> list[Caption]:
    """Captions of tidy segments, at most two lines of 42 columns, in order of time, none of which overlaps the next.

    Each starts with its first word and ends with its last, or a little later where there is time: to be shown for 5/6
    of a second, or to be read at 20 columns a second (then at most 0.2 s later). A caption ends at every pause of a
    second, at half of that after a sentence, with a speaker, and otherwise preferably after sentences, then clauses,
    then words. Words are cut only if they are longer than a line. If `labelled`, what a speaker says after another one
    begins with the name.
    """
    row = pieces(segments)
    chosen = [caption for run in runs(list(named(row)) if labelled else row) for caption in split(run)]
    return list(timed(chosen))


def pieces(segments: Sequence[Segment]) -> list[Piece]:
    """The pieces of all segments, which are tidy."""
    texts = [segment.text for segment in segments]
    row: list[Piece] = []
    for index, segment in enumerate(segments):
        inside = list(glued(part for word in words(segment) for part in fitting(word)))
        first = inside[0]._replace(space=index > 0 and spaced(texts[index - 1], segment.text))
        inside = [first, *inside[1:]]
        following = [piece.text for piece in inside[1:]]
        for piece, after in zip(inside, [*following, ""], strict=True):
            final = after == "" or ends_sentence(piece.text, after)
            row.append(piece._replace(final=final, speaker=segment.speaker))
    return row


def named(row: Sequence[Piece]) -> Iterator[Piece]:
    """The pieces with the name of each speaker before the first that follows another's."""
    before = None
    for piece in row:
        if piece.speaker not in (None, before):
            yield Piece(piece.start, piece.start, f"{piece.speaker}:", False, speaker=piece.speaker, label=True)
            piece = piece._replace(space=True)
        before = piece.speaker
        yield piece


def words(segment: Segment) -> Iterator[Piece]:
    """The words of a segment as its text spells them; where the two do not agree, its text spread over its time."""
    texts = slices(segment)
    if texts:
        times = [(word.start, word.end) for word in segment.words]
    else:
        texts = [f"{text} " for text in segment.text.split()]
        times = spread(segment.start, segment.end, texts)
    for before, text, (start, end) in zip(["", *texts], texts, times, strict=False):
        yield Piece(start, end, text.strip(), before.endswith(" "))


def spread(start: float, end: float, texts: Sequence[str]) -> list[tuple[float, float]]:
    """Times for `texts`, each by its length, from `start` to `end`."""
    sums = list(accumulate(map(len, texts), initial=0))
    return list(pairwise(start + (end - start) * length / sums[-1] for length in sums))


def fitting(piece: Piece) -> Iterator[Piece]:
    """`piece`, or its characters if it is longer than a line."""
    if width(piece.text) <= LINE:
        yield piece
        return
    texts = characters(piece.text)
    times = spread(piece.start, piece.end, texts)
    for index, (text, (start, end)) in enumerate(zip(texts, times, strict=True)):
        yield Piece(start, end, text, piece.space and index == 0)


def characters(text: str) -> list[str]:
    """The characters as readers see them: with their marks, and emoji with what is joined to them."""
    found = [text[0]]
    for before, character in pairwise(text):
        attached = columns(character) == 0 or before == ZERO_WIDTH_JOINER or category(character) in ("Mc", "Sk")
        if attached and len(found[-1]) < LINE // 2:
            found[-1] += character
        else:
            found.append(character)
    return found


def glued(parts: Iterator[Piece]) -> Iterator[Piece]:
    """The pieces, joined where they may not be parted and together fit into a line."""
    current = next(parts)
    for part in parts:
        text = current.text + part.text
        if part.space or may_part(current.text, part.text) or width(text) > LINE:
            yield current
            current = part
        else:
            current = current._replace(end=part.end, text=text)
    yield current


def may_part(before: str, after: str) -> bool:
    """Whether a line may end between texts without a space between them: only in scripts that have none."""
    last, first = before[-1], after[0]
    opening = last in OPENING or category(last) in ("Ps", "Pi")
    closing = first in CLOSING or (category(first) in ("Pe", "Pf", "Po", "Mn", "Mc") and first not in OPENING)
    return not opening and not closing and any(category(c) == "Lo" or ideographic(c) for c in (last, first))


def runs(row: Sequence[Piece]) -> Iterator[list[Piece]]:
    """The pieces between pauses that always end a caption."""
    run: list[Piece] = []
    for piece in row:
        pause = piece.start - run[-1].end if run else 0.0
        if run and (piece.speaker != run[-1].speaker or pause >= (SENTENCE_PAUSE if run[-1].final else PAUSE)):
            yield run
            run = []
        run.append(piece)
    if run:
        yield run


def split(run: list[Piece]) -> list[list[Piece]]:
    """The pieces of each caption: of all ways to split the run, the one that costs least (dynamic programming)."""
    ruler = Ruler(run)
    breaks = [*map(break_cost, run, run[1:]), 0.0]
    gaps = [max(0.0, after.start - before.end) for before, after in pairwise(run)]
    within = [
        SECOND_WITHIN * gap + (SENTENCE_WITHIN if before.final else 0.0) for before, gap in zip(run, gaps, strict=False)
    ]
    inside = list(accumulate(within, initial=0.0))
    least = [0.0] + [float("inf")] * len(run)
    origin = [0] * (len(run) + 1)
    for start in range(len(run)):
        for end in range(start + 1, ruler.two_lines(start) + 1):
            if end > start + 1 + run[start].label and run[end - 1].end - run[start].start > LONGEST:
                break
            following = run[end].start if end < len(run) else float("inf")
            cost = least[start] + breaks[end - 1] + inside[end - 1] - inside[start]
            cost += looks(ruler.width(start, end), run[start].start, run[end - 1].end, following)
            if cost < least[end]:
                least[end], origin[end] = cost, start
    ends = [len(run)]
    while origin[ends[-1]]:
        ends.append(origin[ends[-1]])
    return [run[start:end] for start, end in pairwise([0, *reversed(ends)])]


def break_cost(piece: Piece, following: Piece) -> float:
    if piece.label:
        return AFTER_LABEL
    if piece.final:
        return 0.0
    if ends_clause(piece.text):
        return AFTER_CLAUSE
    if short(piece.text):
        return AFTER_SHORT_WORD
    return BEFORE_PHRASE if short(following.text) or japanese_phrase(piece.text, following.text) else AFTER_WORD


def short(text: str) -> bool:
    return len(text) <= SHORT_WORD and not ideographic(text[-1])


def japanese_phrase(before: str, after: str) -> bool:
    """Whether a phrase starts with `after`: those of Japanese mostly end in hiragana and start with anything else."""
    return hiragana(before[-1]) and not hiragana(after[0])


def hiragana(character: str) -> bool:
    return "\u3041" <= character <= "\u309f"


def looks(columns: int, start: float, end: float, following: float) -> float:
    """What a caption of so many columns costs for its length on the screen and in time."""
    shown = min(max(end - start, SHORTEST), following - start)
    cost = CAPTION + TOO_EMPTY * max(0.0, 1 - columns / (2 * LINE)) ** 2 + TOO_SHORT * max(0.0, 1 - shown / SHORTEST)
    return cost + TOO_FAST * max(0.0, min(2.0, columns / COLUMNS_PER_SECOND / max(shown, 0.1) - 1))


class Ruler:
    """How wide stretches of a row of pieces are, in constant time."""

    def __init__(self, row: Sequence[Piece]) -> None:
        self.spaces = [int(piece.space) for piece in row]
        self.sums = list(accumulate((width(piece.text) + piece.space for piece in row), initial=0))
        self.reach = list(self.line_ends())

    def width(self, start: int, end: int) -> int:
        return self.sums[end] - self.sums[start] - self.spaces[start]

    def line_ends(self) -> Iterator[int]:
        """For each piece, the end of the longest line that starts with it, which holds at least itself."""
        end = 0
        for start in range(len(self.spaces)):
            end = max(end, start + 1)
            while end < len(self.spaces) and self.width(start, end + 1) <= LINE:
                end += 1
            yield end

    def two_lines(self, start: int) -> int:
        """The end of the longest two lines that start with piece `start`."""
        first = self.reach[start]
        return self.reach[first] if first < len(self.reach) else first


def timed(chosen: Sequence[list[Piece]]) -> Iterator[Caption]:
    """The captions of successive lists of pieces."""
    earliest = 0.0
    starts = [group[0].start for group in chosen]
    for group, following in zip(chosen, [*starts, float("inf")][1:], strict=True):
        lines = layout(group)
        start = max(earliest, round(group[0].start, 3))
        reading = start + sum(map(width, lines)) / COLUMNS_PER_SECOND
        end = max(group[-1].end, start + SHORTEST, min(reading, group[-1].end + LINGER))
        # What is said at the same time as something else is shown before it.
        spoken = max(following, min(group[-1].end, start + SHORTEST))
        end = min(end, spoken, start + LONGEST)
        # Words that start within the same millisecond still need a time to be shown.
        earliest = max(round(end, 3), round(start + 0.001, 3))
        yield Caption(start, earliest, lines, group[0].speaker)


def layout(group: Sequence[Piece]) -> list[str]:
    """One line if it fits, otherwise the two that break best and are about equally long."""
    ruler = Ruler(group)
    if ruler.width(0, len(group)) <= LINE:
        return [written(group)]

    def cost(middle: int) -> float:
        first, second = ruler.width(0, middle), ruler.width(middle, len(group))
        return (
            break_cost(group[middle - 1], group[middle]) + abs(first - second) / 5 + 100 * (max(first, second) > LINE)
        )

    middle = min(range(1, len(group)), key=cost)
    return [written(group[:middle]), written(group[middle:])]


def written(group: Sequence[Piece]) -> str:
    return "".join(" " * piece.space + piece.text for piece in group).strip()
