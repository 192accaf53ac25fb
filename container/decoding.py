"""What was said, token by token: Whisper's rules for what may follow, the likeliest first, by chance where that failed.

The rules are OpenAI's (`decoding.py`), as whisper.cpp applies them to a sound that is heard once.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from container.engine import BEST_OF, LEAST_ENTROPY, LEAST_PROBABILITY, NO_SPEECH, STAMP_SECONDS, WINDOW
from container.network import Network, Sounds
from container.tensors import Floats

LATEST_START = 1.0
"""Seconds after which the first time stamp may not be."""

NO_TIME = 0.1
"""Seconds that, if no more are left after a time stamp, end what is said."""

LOOKED_AT = 32
"""Last tokens whose entropy is looked at, if there are more."""

COLD = 0.5
"""Temperature from which on no prompt is given."""


@dataclass
class Said:
    """What one attempt wrote down of a sound."""

    no_speech: float
    """The probability that nobody speaks."""
    tokens: list[int] = field(default_factory=list)
    logarithms: list[float] = field(default_factory=list)
    """Of the tokens' probabilities."""
    whole: bool = False
    stuck: bool = False
    """It went on and on."""

    @property
    def probability(self) -> float:
        """The mean logarithm."""
        return sum(self.logarithms) / len(self.logarithms) if self.logarithms else -math.inf

    @property
    def loops(self) -> bool:
        if self.stuck or len(self.tokens) <= LOOKED_AT:
            return self.stuck
        shares = [count / LOOKED_AT for count in Counter(self.tokens[-LOOKED_AT:]).values()]
        return -sum(share * math.log(share) for share in shares) < LEAST_ENTROPY

    @property
    def doubtful(self) -> bool:
        return self.loops or (self.probability < LEAST_PROBABILITY and self.no_speech < NO_SPEECH)

    @property
    def nothing(self) -> bool:
        return self.probability < LEAST_PROBABILITY and self.no_speech > NO_SPEECH


@dataclass(frozen=True)
class Bounds:
    """Of what may be said in a sound: its seconds, and the most tokens."""

    seconds: float
    tokens: int


class Decoding:
    """Writes sounds down that are heard together."""

    def __init__(self, network: Network) -> None:
        self._network, self._words = network, network.vocabulary
        self._special = np.zeros(self._words.size, np.float32)
        self._special[self._words.start : self._words.stamps] = -np.inf

    def say(
        self,
        sounds: Sounds,
        bounds: Sequence[Bounds],
        task: list[int],
        prompt: list[int],
        temperatures: Sequence[float],
    ) -> list[Said]:
        """What was said in each sound; `prompt` goes before the `task`. What is doubtful is tried again at the next of
        the temperatures.
        """
        found: dict[int, Said] = {}
        left = list(range(len(bounds)))
        for temperature in temperatures:
            asked = [self._words.previous, *prompt, *task] if prompt and temperature < COLD else task
            heard = sounds if len(left) == len(bounds) else sounds.of(left)
            attempts = self._attempts(heard, [bounds[sound] for sound in left], asked, temperature)
            for sound, tried in zip(left, attempts, strict=True):
                found[sound] = max(tried, key=lambda said: (not said.loops, said.probability))
            left = [sound for sound in left if found[sound].doubtful]
            if not left:
                break
        return [found[sound] for sound in range(len(bounds))]

    def _attempts(
        self, sounds: Sounds, bounds: Sequence[Bounds], asked: list[int], temperature: float
    ) -> list[list[Said]]:
        """Attempts at each sound: one, or if the temperature is above zero some by chance."""
        times, task = BEST_OF if temperature else 1, asked.index(self._words.start) + 1
        past = self._network.nothing_read(len(bounds))
        read = self._network.read(np.array([[asked[:task]]] * len(bounds)), past, sounds)
        silent = [_probability(row[0], self._words.no_speech) for row in read.scores]
        if asked[task:]:
            read = self._network.read(np.array([[asked[task:]]] * len(bounds)), read.past, sounds)
        scores, past = np.repeat(read.scores, times, axis=1), read.past.tried(times)
        found = [[Said(no_speech) for _ in range(times)] for no_speech in silent]
        chances = [[np.random.default_rng(number) for number in range(times)] for _ in bounds]
        left = list(range(len(bounds)))
        while True:
            for place, sound in enumerate(left):
                for number, said in enumerate(found[sound]):
                    if not said.whole:
                        self._add(said, scores[place, number], temperature, chances[sound][number])
                        self._close(said, bounds[sound])
            kept = [place for place, sound in enumerate(left) if not all(said.whole for said in found[sound])]
            if not kept:
                return found
            if len(kept) < len(left):
                left, sounds, past = [left[place] for place in kept], sounds.of(kept), past.of(kept)
            # An attempt that is done is read on with the others at the same sound, and what comes of it is not used.
            following = [[[said.tokens[-1]] for said in found[sound]] for sound in left]
            read = self._network.read(np.array(following), past, sounds)
            scores, past = read.scores, read.past

    def _add(self, said: Said, scores: Floats, temperature: float, chance: np.random.Generator) -> None:
        """The next token, from the scores of all."""
        words, tokens = self._words, said.tokens
        allowed = scores / np.float32(temperature or 1) + self._special
        if not tokens:
            allowed[[words.end, words.space]] = -np.inf
            allowed[words.stamps + round(LATEST_START / STAMP_SECONDS) + 1 :] = -np.inf
        elif tokens[-1] >= words.stamps:
            # A stamp closes a segment and another opens the next one.
            opened = len(tokens) < 2 or tokens[-2] >= words.stamps
            allowed[words.stamps if opened else 0 : None if opened else words.end] = -np.inf
        if (last := self._last_stamp(tokens)) is not None:
            allowed[words.stamps : tokens[last]] = -np.inf
        largest = allowed.max()
        shares = np.exp(allowed - largest)
        total = shares.sum()
        if shares[words.stamps :].sum() > shares[: words.stamps].max():
            shares[: words.stamps] = 0
        if temperature:
            token = int(chance.choice(len(shares), p=shares / shares.sum(dtype=np.float64)))
        else:
            token = int(shares.argmax())
        tokens.append(token)
        said.logarithms.append(float(np.log(shares[token] / total)))

    def _close(self, said: Said, bounds: Bounds) -> None:
        """Notes whether that was the last token."""
        words, tokens = self._words, said.tokens
        over = tokens[-1] > words.stamps and self._seconds(tokens[-1]) + NO_TIME >= bounds.seconds
        said.whole = tokens[-1] == words.end or over or len(tokens) > bounds.tokens
        if not said.whole and len(tokens) >= self._network.room:
            last = self._last_stamp(tokens)
            said.whole, said.stuck = True, last is None or self._seconds(tokens[last]) < WINDOW / 2
            kept = len(tokens) if last is None else last + 1
            del tokens[kept:], said.logarithms[kept:]

    def _last_stamp(self, tokens: list[int]) -> int | None:
        return next((place for place in reversed(range(len(tokens))) if tokens[place] > self._words.stamps), None)

    def _seconds(self, stamp: int) -> float:
        return (stamp - self._words.stamps) * STAMP_SECONDS


def _probability(scores: Floats, token: int) -> float:
    return float(np.exp(scores[token] - scores.max()) / np.exp(scores - scores.max()).sum())
