"""What ours and another program got wrong on the same track, word by word: where to improve."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import report, scoring
from bench.programs import OURS
from bench.results import Result
from bench.tracks import Track

AROUND = 4
"""Words shown before and after a difference."""


@dataclass(frozen=True)
class Difference:
    """Words `[start, end)` of the truth, and what was heard instead, both with their neighbours."""

    start: int
    end: int
    said: str
    heard: str


def from_the_best(results: Sequence[Result], tracks: Sequence[Track]) -> str:
    """For each track what ours heard beside the best of the others."""
    normalise, texts = scoring.normaliser(), []
    for track in tracks:
        for model in dict.fromkeys(result.model for result in results):
            runs = {each.program: each for each in results if (each.model, each.track) == (model, track.name)}
            wrong = {name: report.score([run], track, normalise).wrong for name, run in runs.items()}
            ours = wrong.pop(OURS.name, None)
            if ours is None or not wrong or not track.speaks:
                continue
            best = min(wrong, key=lambda name: wrong[name])
            texts.append(f"{model}, {track.name}: {ours} words wrong, {best} {wrong[best]}")
            texts.append(compared(track.text, runs[OURS.name].heard.text, runs[best].heard.text, best, normalise))
    return "\n".join(texts) + "\n"


def differences(truth: str, heard: str, normalise: Callable[[str], str]) -> list[Difference]:
    a, b = normalise(truth).split(), normalise(heard).split()
    opcodes = difflib.SequenceMatcher(None, a, b, False).get_opcodes()
    return [Difference(i, j, _excerpt(a, i, j), _excerpt(b, k, m)) for tag, i, j, k, m in opcodes if tag != "equal"]


def compared(truth: str, ours: str, other: str, name: str, normalise: Callable[[str], str]) -> str:
    """The differences of ours alone, of the other program alone, and of both."""
    mine, theirs = differences(truth, ours, normalise), differences(truth, other, normalise)
    both = [each for each in mine if _near(each, theirs)]
    parts = {
        "only ours": [each for each in mine if each not in both],
        f"only {name}": [each for each in theirs if not _near(each, mine)],
        "both (as ours heard it)": both,
    }
    return "\n".join(line for title, found in parts.items() for line in [f"{title}: {len(found)}", *map(_line, found)])


def _near(one: Difference, others: Sequence[Difference]) -> bool:
    return any(one.start <= other.end and other.start <= one.end for other in others)


def _line(difference: Difference) -> str:
    return f"  said:  {difference.said}\n  heard: {difference.heard}"


def _excerpt(words: list[str], start: int, end: int) -> str:
    before, after = words[max(0, start - AROUND) : start], words[end : end + AROUND]
    return " ".join([*before, "[", *words[start:end], "]", *after])
