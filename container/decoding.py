"""What was said, token by token: the likeliest first, by chance where that failed.

The rules are OpenAI's (`decoding.py`) for text without time stamps, as whisper.cpp applies them to a sound that is
heard once. The likeliest text is searched for with beams, as wide as there is doubt.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from container.engine import BEST_OF, LEAST_ENTROPY, LEAST_PROBABILITY, NO_SPEECH
from container.network import Network, Sounds
from container.tensors import Floats

LOOKED_AT = 32
"""Last tokens whose entropy is looked at, if there are more."""

STUCK = 2 * LOOKED_AT
"""The same of a text that is not gone on with: a list of numbers, with commas, looks like a loop for longer."""

COLD = 0.5
"""Temperature from which on no prompt is given."""

WIDTH = 3
"""Texts of one sound that are gone on with at most, and whole ones that are enough."""

NEAR = 2.5
"""By how much the logarithm of a text's probability may be below the best one's.

Wrong words of nine tracks with tiny.en and with base (docs/benchmarks.md): 395 and 408 with one text, 342 and 337 with
these.
"""

SAME = 3
"""Last tokens by which two texts are the same from there on, also if the less likely one is up to so many behind."""

MORE, FEW = 1.5, 10
"""How many times the others' mean the logarithm of another letter's probability may be for a long text to be better
with it, and how many letters weigh against that in a short one.

With 1 and 0, which rank by the mean, the sentence is left out that is a bit less likely than the rest. A short answer
must not become a long one that is several times less likely. GNMT's length penalty has the same form.
"""

Step = tuple[int, int]
"""The number of a text, and the token that follows it."""


@dataclass(frozen=True)
class Said:
    """What may have been said in a sound, as far as it is written down."""

    no_speech: float
    """The probability that nobody speaks."""
    tokens: list[int] = field(default_factory=list)
    logarithms: list[float] = field(default_factory=list)
    """Of the tokens' probabilities."""
    attention: list[Floats] = field(default_factory=list)
    """The shares of the sound [heads, positions] that were listened to for each token."""

    def then(self, token: int, logarithm: float, attention: Floats) -> "Said":
        return Said(self.no_speech, [*self.tokens, token], [*self.logarithms, logarithm], [*self.attention, attention])

    @property
    def probability(self) -> float:
        """The mean logarithm."""
        return sum(self.logarithms) / len(self.logarithms) if self.logarithms else -math.inf

    @property
    def loops(self) -> bool:
        return self._repeats(LOOKED_AT)

    @property
    def stuck(self) -> bool:
        """Whether it has looped for so long that more would be of no use."""
        return self._repeats(STUCK)

    def _repeats(self, count: int) -> bool:
        if len(self.tokens) <= count:
            return False
        shares = [times / count for times in Counter(self.tokens[-count:]).values()]
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
        listen: Callable[[list[int]], Sounds],
        most: Sequence[int],
        task: list[int],
        prompts: Sequence[list[int]],
        temperatures: Sequence[float],
    ) -> list[Said]:
        """What was said in each sound, in so many tokens at `most`; `listen` hears the sounds of these numbers.

        The `prompts`, all of the same length, go before the `task`. What is doubtful is heard again, and tried at the
        next of the temperatures.
        """
        found: dict[int, Said] = {}
        left = list(range(len(most)))
        for temperature in temperatures:
            prompted = any(prompts) and temperature < COLD
            asked = [[self._words.previous, *prompts[sound], *task] if prompted else task for sound in left]
            texts = self._texts(listen(left), [most[sound] for sound in left], asked, temperature)
            best = (max(whole, key=self._rank) for whole in texts)
            found |= dict(zip(left, best, strict=True))
            del texts
            left = [sound for sound in left if found[sound].doubtful]
            if not left:
                break
        return [found[sound] for sound in range(len(most))]

    def _rank(self, said: Said) -> tuple[bool, bool, float]:
        """What is not doubtful first, then by the logarithms of letters' and digits' probabilities.

        By the mean of tokens "1-2-3-4" is likelier than "1234", since hyphens are certain after the first. By the sum
        it is likelier that a sentence was left out.
        """
        letters = sum(map(str.isalnum, self._words.text(said.tokens)))
        return not said.loops, not said.doubtful, sum(said.logarithms) / (letters + FEW) ** MORE

    def _texts(
        self, sounds: Sounds, most: Sequence[int], asked: list[list[int]], temperature: float
    ) -> list[list[Said]]:
        """Whole texts of each sound: likely ones, or if the temperature is above zero some by chance."""
        tokens, task = np.array(asked)[:, np.newaxis], asked[0].index(self._words.start) + 1
        past = self._network.nothing_read(len(most))
        read = self._network.read(tokens[..., :task], past, sounds)
        silent = [_probability(row[0], self._words.no_speech) for row in read.scores]
        found = [_Search(*each) for each in zip(silent, most, strict=True)]
        read = self._network.read(tokens[..., task:], read.past, sounds)
        left = found
        while True:
            before = [
                self._go_on(search, read.scores[place], read.attention[place], temperature)
                for place, search in enumerate(left)
            ]
            kept = _closed_up([bool(numbers) for numbers in before])
            if not kept:
                return [search.whole for search in found]
            if len(kept) < len(left):
                left, sounds = [left[place] for place in kept], sounds.only(kept)
            past = read.past.of(kept, _filled([before[place] for place in kept]))
            del read
            last = _filled([[said.tokens[-1] for said in search.growing] for search in left])
            read = self._network.read(np.array(last)[:, :, np.newaxis], past, sounds)

    def _go_on(self, search: "_Search", scores: Floats, attention: Floats, temperature: float) -> list[int]:
        """Takes the next step of each text; the numbers that those had before which go on from there."""
        growing = search.growing
        logarithms = self._logarithms(scores[: len(growing)], temperature, first=not growing[0].tokens)
        steps = search.by_chance(logarithms) if temperature else search.likeliest(logarithms, self._words.end)
        heard = {number: attention[number].copy() for number, _ in steps}
        search.growing, before = [], []
        for number, token in steps:
            said = growing[number].then(token, float(logarithms[number, token]), heard[number])
            if self._ended(said, search.most):
                search.whole.append(said)
            else:
                search.growing.append(said)
                before.append(number)
        return before if len(search.whole) < WIDTH else []

    def _logarithms(self, scores: Floats, temperature: float, *, first: bool) -> Floats:
        """Of the probabilities [texts, tokens] of what may be next."""
        end = self._words.end
        allowed = scores[:, : end + 1] / np.float32(temperature or 1)
        if first:
            allowed[:, [end, self._words.space]] = -np.inf
        allowed -= allowed.max(1, keepdims=True)
        allowed -= np.log(np.exp(allowed).sum(1, keepdims=True))
        return allowed

    def _ended(self, said: Said, most: int) -> bool:
        count = len(said.tokens)
        return said.tokens[-1] == self._words.end or count > most or count >= self._network.room or said.stuck


class _Search:
    """What is being written of one sound: texts that grow, and those that are whole."""

    def __init__(self, no_speech: float, most: int) -> None:
        self.growing = [Said(no_speech)]
        self.whole: list[Said] = []
        self.most = most
        self._ended = -math.inf
        self._chance = np.random.default_rng(0)

    def by_chance(self, logarithms: Floats) -> list[Step]:
        """Each text goes on with one token, the first with some."""
        shares = np.exp(logarithms, dtype=np.float64)
        shares /= shares.sum(1, keepdims=True)
        numbers = range(len(self.growing)) if self.growing[0].tokens else [0] * BEST_OF
        return [(number, int(self._chance.choice(shares.shape[1], p=shares[number]))) for number in numbers]

    def likeliest(self, logarithms: Floats, end: int) -> list[Step]:
        """The likeliest steps, and of texts that are the same from here on only the likeliest. Nor does a text go on
        with what it has just said if something else is likelier.

        A text ends only where nothing else is likelier in it: what ends early is likelier for that alone. And where
        that is the likeliest step of all, a text that goes on must not become much less likely any more.
        """
        before = [sum(said.logarithms) for said in self.growing]
        best = max(total + float(most) for total, most in zip(before, logarithms.max(1), strict=True))
        least = max(best, self._ended) - NEAR
        near = ((n, token) for n, row in enumerate(logarithms) for token in np.flatnonzero(row >= least - before[n]))
        steps = sorted(((before[n] + float(logarithms[n, token]), n, int(token)) for n, token in near), reverse=True)
        chosen: list[Step] = []
        said: set[tuple[int, ...]] = set()
        for total, number, token in steps:
            tokens = (*self.growing[number].tokens[1 - 2 * SAME :], token)
            if tokens[-SAME:] in said or (token == end and logarithms[number].argmax() != end):
                continue
            if token == end and total == best:
                self._ended = max(self._ended, total)
            chosen.append((number, token))
            said |= {tokens[start : start + SAME] for start in range(len(tokens) - SAME + 1)}
            if len(chosen) == WIDTH:
                break
        return chosen


def _closed_up(wanted: list[bool]) -> list[int]:
    """The places that are wanted, each where it is already, or moved to one that is not."""
    count = sum(wanted)
    moved = [place for place in range(count, len(wanted)) if wanted[place]]
    return [place if wanted[place] else moved.pop() for place in range(count)]


def _filled(rows: list[list[int]]) -> list[list[int]]:
    """As long as the longest: what is read twice is not used."""
    widest = max(map(len, rows))
    return [row + row[:1] * (widest - len(row)) for row in rows]


def _probability(scores: Floats, token: int) -> float:
    return float(np.exp(scores[token] - scores.max()) / np.exp(scores - scores.max()).sum())
