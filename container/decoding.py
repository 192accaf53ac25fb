"""What was said, token by token: the likeliest first, by chance where that failed.

The rules are OpenAI's (`decoding.py`) for text without time stamps, as whisper.cpp applies them to a sound that is
heard once.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from container.engine import BEST_OF, LEAST_ENTROPY, LEAST_PROBABILITY, NO_SPEECH
from container.network import Network, Sounds
from container.tensors import Floats

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
    attention: list[Floats] = field(default_factory=list)
    """The shares of the sound [heads, positions] that were listened to for each token."""
    whole: bool = False

    @property
    def probability(self) -> float:
        """The mean logarithm."""
        return sum(self.logarithms) / len(self.logarithms) if self.logarithms else -math.inf

    @property
    def loops(self) -> bool:
        if len(self.tokens) <= LOOKED_AT:
            return False
        shares = [count / LOOKED_AT for count in Counter(self.tokens[-LOOKED_AT:]).values()]
        return -sum(share * math.log(share) for share in shares) < LEAST_ENTROPY

    @property
    def doubtful(self) -> bool:
        return self.loops or (self.probability < LEAST_PROBABILITY and self.no_speech < NO_SPEECH)

    @property
    def nothing(self) -> bool:
        return self.probability < LEAST_PROBABILITY and self.no_speech > NO_SPEECH


class Decoding:
    """Writes sounds down that are heard together."""

    def __init__(self, network: Network) -> None:
        self._network, self._words = network, network.vocabulary

    def say(
        self,
        sounds: Sounds,
        most: Sequence[int],
        task: list[int],
        prompt: list[int],
        temperatures: Sequence[float],
    ) -> list[Said]:
        """What was said in each sound, in so many tokens at `most`; `prompt` goes before the `task`. What is doubtful
        is tried again at the next of the temperatures.
        """
        found: dict[int, Said] = {}
        left = list(range(len(most)))
        for temperature in temperatures:
            asked = [self._words.previous, *prompt, *task] if prompt and temperature < COLD else task
            heard = sounds if len(left) == len(most) else sounds.of(left)
            attempts = self._attempts(heard, [most[sound] for sound in left], asked, temperature)
            best = (max(tried, key=lambda said: (not said.loops, said.probability)) for tried in attempts)
            found |= dict(zip(left, best, strict=True))
            del attempts
            left = [sound for sound in left if found[sound].doubtful]
            if not left:
                break
        return [found[sound] for sound in range(len(most))]

    def _attempts(self, sounds: Sounds, most: Sequence[int], asked: list[int], temperature: float) -> list[list[Said]]:
        """Attempts at each sound: one, or if the temperature is above zero some by chance."""
        times, task = BEST_OF if temperature else 1, asked.index(self._words.start) + 1
        past = self._network.nothing_read(len(most))
        read = self._network.read(np.array([[asked[:task]]] * len(most)), past, sounds)
        silent = [_probability(row[0], self._words.no_speech) for row in read.scores]
        if asked[task:]:
            read = self._network.read(np.array([[asked[task:]]] * len(most)), read.past, sounds)
        scores, attention = (np.repeat(part, times, axis=1) for part in (read.scores, read.attention))
        past = read.past.tried(times)
        found = [[Said(no_speech) for _ in range(times)] for no_speech in silent]
        chances = [[np.random.default_rng(number) for number in range(times)] for _ in most]
        left = list(range(len(most)))
        while True:
            for place, sound in enumerate(left):
                for number, said in enumerate(found[sound]):
                    if not said.whole:
                        self._add(said, scores[place, number], temperature, chances[sound][number])
                        said.attention.append(attention[place, number].copy())
                        self._close(said, most[sound])
            kept = [place for place, sound in enumerate(left) if not all(said.whole for said in found[sound])]
            if not kept:
                return found
            if len(kept) < len(left):
                left, sounds, past = [left[place] for place in kept], sounds.of(kept), past.of(kept)
            # An attempt that is done is read on with the others at the same sound, and what comes of it is not used.
            following = [[[said.tokens[-1]] for said in found[sound]] for sound in left]
            read = self._network.read(np.array(following), past, sounds)
            scores, attention, past = read.scores, read.attention, read.past

    def _add(self, said: Said, scores: Floats, temperature: float, chance: np.random.Generator) -> None:
        """The next token, from the scores of all."""
        end = self._words.end
        allowed = scores[: end + 1] / np.float32(temperature or 1)
        if not said.tokens:
            allowed[[end, self._words.space]] = -np.inf
        shares = np.exp(allowed - allowed.max())
        total = float(shares.sum())
        if temperature:
            token = int(chance.choice(len(shares), p=shares / shares.sum(dtype=np.float64)))
        else:
            token = int(shares.argmax())
        said.tokens.append(token)
        said.logarithms.append(math.log(shares[token] / total))

    def _close(self, said: Said, most: int) -> None:
        """Notes whether that was the last token."""
        count = len(said.tokens)
        said.whole = said.tokens[-1] == self._words.end or count > most or count >= self._network.room


def _probability(scores: Floats, token: int) -> float:
    return float(np.exp(scores[token] - scores.max()) / np.exp(scores - scores.max()).sum())
