"""What keeps Whisper from inventing text, as far as the text tells; docs/architecture.md lists all guards."""

import math
import re
from collections.abc import Collection, Sequence
from itertools import groupby
from statistics import fmean
from unicodedata import category

from chalicelib.jobs import Guard
from chalicelib.transcript import Segment, Word

ALL = frozenset(Guard)

SOUND = re.compile(r"\s*(\[.*\]|\(.*\)|\*.*\*|♪.*♪|♪.*[.!?])[\s.]*")

FASTEST_SPEECH = 40
"""Characters a second: twice what a fast speaker says."""

GUESSED = 0.5
"""Geometric mean of words' probabilities below which most are guesses. tiny.en has 0.89 to 0.95 for English, 0.61 with
noise that is 3 dB louder than the speech, and 0.07 to 0.39 for French, Italian and Russian.
"""

LEAST = 0.001
"""Probability that the least likely word is taken to have."""

LONGEST_ECHO = 30
"""Words in a phrase that a stuck decoder repeats."""

SHORTEST_START = 3
"""Words of a phrase up to which all of it must be repeated, and not all but its last."""

CONVINCED = 0.6
"""Mean probability of the words from which a phrase of THANKS was said: invented ones come with less."""

CREDITS = (
    "amaraorg",
    "castingwords",
    "untertitelungdeszdf",
    "untertitelimauftragdeszdf",
    "soustitragest501",
    "soustitragesociétéradiocanada",
    "sottotitolierevisioneacuradi",
    "tvgelderland",
    "субтитрысделал",
    "субтитрыделал",
    "редакторсубтитров",
    "明镜与点点",
    "字幕志愿者",
    "altyazımk",
)
"""Parts of the credits of subtitles that Whisper was trained on, in letters and digits alone: nobody says them."""

THANKS = frozenset(
    (
        "you",
        "thankyou",
        "thankyouforwatching",
        "thankyousomuchforwatching",
        "thankyouverymuchforwatching",
        "thanksforwatching",
        "thanksforwatchingandseeyounexttime",
        "pleasesubscribe",
        "pleasesubscribetomychannel",
        "pleaselikeandsubscribe",
        "dontforgettosubscribe",
        "seeyouinthenextvideo",
        "seeyounexttime",
        "vielendank",
        "vielendankfürszuschauen",
        "mercidavoirregardécettevidéo",
        "graciasporverelvideo",
        "suscríbetealcanal",
        "obrigadoporassistir",
        "dziękujęzaoglądanie",
        "спасибозапросмотр",
        "продолжениеследует",
        "ご視聴ありがとうございました",
        "谢谢观看",
        "謝謝觀看",
        "시청해주셔서감사합니다",
    )
)
"""What people say at the ends of videos and Whisper at the end of anything, in letters and digits alone."""


def guarded(found: list[Segment], guards: Collection[Guard]) -> list[Segment]:
    """What is left of the segments of one chunk."""
    if Guard.LOOPS in guards:
        found = without_echoes(found)
    return [segment for segment in found if not is_phantom(segment)] if Guard.PHANTOMS in guards else found


def describes_sound(text: str) -> bool:
    """Whether a phrase is what subtitles say where nobody speaks: [Music], (applause), *laughs*."""
    return bool(SOUND.fullmatch(text))


def opens_sound(text: str) -> bool:
    """Whether such a phrase may start so."""
    return text.lstrip().startswith(("[", "(", "*", "♪"))


def is_phantom(segment: Segment) -> bool:
    """Whether the whole segment is a phrase that Whisper is known to invent."""
    letters = _letters(segment.text)
    if any(part in letters for part in CREDITS):
        return True
    certainty = sum(word.probability for word in segment.words) / max(1, len(segment.words))
    return letters in THANKS and certainty < CONVINCED


def guessed(found: Sequence[Segment]) -> bool:
    """Whether most words are guesses, as where another language is spoken than the model knows."""
    logarithms = [math.log(max(word.probability, LEAST)) for segment in found for word in segment.words]
    return bool(logarithms) and fmean(logarithms) < math.log(GUESSED)


def without_echoes(found: list[Segment]) -> list[Segment]:
    """The segments without repetitions that nobody can speak so fast.

    That is how the loops of a stuck decoder show, and where it lost its place in what is said several times: there is
    no sound to align such words with. Who says "nine, nine, nine" takes time for it, and is left alone.
    """
    words = [word for segment in found for word in segment.words]
    while echo := _echo(words):
        del words[echo]
    alive = {id(word) for word in words}
    rests = [[word for word in segment.words if id(word) in alive] for segment in found]
    return [Segment.of(rest) for rest in rests if rest]


def _echo(words: list[Word]) -> slice | None:
    """Words too many, in a stretch that repeats itself every so many words: wherever as many are taken out of it, the
    same text is left, so those are that take the least time. A phrase that was only begun goes with its odd last word.

    The first of a few words stays: whoever says "no, no" may hurry with the first.
    """
    letters = [_spoken(word.text) for word in words]
    for size in range(1, min(LONGEST_ECHO, len(words) - 1) + 1):
        few = size <= SHORTEST_START
        needed = size if few else size - 1
        again = [one == other for one, other in zip(letters, letters[size:], strict=False)]
        for same, run in groupby(range(len(again)), again.__getitem__):
            places = list(run)
            if same and len(places) >= needed:
                starts = range(places[0] + (size if few else 0), places[-1] + 2)
                start = min(starts, key=lambda at: words[at + size - 1].end - words[at].start)
                if _hurried(words[start : start + size]):
                    return slice(start, start + size)
    return None


def _hurried(words: list[Word]) -> bool:
    """Whether nobody can speak so fast."""
    return (words[-1].end - words[0].start) * FASTEST_SPEECH < sum(len(word.text) for word in words)


def _spoken(text: str) -> str:
    """`text` without spaces and punctuation: marks are vowels in some scripts, and "C++" is not "C"."""
    return "".join(character for character in text.casefold() if category(character)[0] in "LMNS")


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))
