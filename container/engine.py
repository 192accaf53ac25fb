"""What hears a window of sound: the parts that recognisers of all kinds have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from container.alignment import Token
from container.media import RATE

WINDOW = 30.0
"""Seconds that Whisper hears at once."""

SHORTEST_AUDIO = 1.0
"""Seconds below which audio is filled up with silence: whisper.cpp passes over less than 0.1."""

FULL_CONTEXT, POSITION_FRAMES = 1500, 2
"""Encoder positions for a window, and frames of the spectrum that become one."""

CONTEXT_PER_SECOND, SPARE_CONTEXT, LEAST_CONTEXT = 50, 300, 650
"""Encoder positions per second of audio, how many more to grant, and how many at least.

With too few the decoder repeats itself, above all over short audio, and each new attempt costs more than they do.
Measured with tiny.en on 76 clips of 1 to 5 seconds, 631 words: wrong words and seconds of processor time

LEAST_CONTEXT        500      650      800      1000
SPARE_CONTEXT = 200  75, 19   45, 20
SPARE_CONTEXT = 300  39, 20   38, 21   40, 24   37, 31
"""

TOKENS_PER_SECOND, SPARE_TOKENS = 40, 24
"""More than anybody can say: a decoder that loops over a short sound is stopped early. English takes 3 a second,
scripts that have few tokens of their own up to 38 (Burmese at 14 letters a second).
"""

STEP, LAST_TEMPERATURE, BEST_OF = 0.2, 1.0, 2
"""Of the temperatures that are tried from 0 on where what was heard looks wrong, and attempts at each above zero."""

LEAST_ENTROPY, LEAST_PROBABILITY, NO_SPEECH = 2.4, -1.0, 0.6
"""What looks wrong: less entropy of the last tokens, or a mean logarithm of probabilities below, unless the probability
of no speech at all is above. OpenAI's thresholds; entropy is whisper.cpp's in place of a compression ratio.
"""

POSITION_SECONDS = 0.02
"""Distance of two positions of the encoder."""

Samples = NDArray[np.float32]
"""16 kHz mono, -1 to 1."""


@dataclass(frozen=True)
class Request:
    """How a sound is to be heard: `translate` is into English, `prompt` vocabulary to expect, and `attempts` whether to
    try again where the result looks wrong.
    """

    language: str = "en"
    translate: bool = False
    prompt: str = ""
    attempts: bool = True


class Engine(Protocol):
    """A model in memory. Not for several threads at once."""

    multilingual: bool
    at_once: int
    """How many sounds are best given together."""
    led: bool
    """Whether it makes use of what was said before."""

    def hear(self, sounds: Sequence[Samples], request: Request, before: Sequence[str]) -> list[list[Token]]:
        """The tokens of each sound, up to 30 s long; times are seconds from its start. `before` is what was said before
        each of them, nothing if that is not known or not made use of.
        """

    def detect_language(self, sound: Samples) -> tuple[str, float]:
        """The code and probability of the language spoken in up to 30 s; only of a multilingual model."""

    def close(self) -> None:
        """Give the memory back."""


def length(sound: Samples) -> float:
    """Seconds that a sound is heard for."""
    return max(SHORTEST_AUDIO, len(sound) / RATE)


def filled(sound: Samples) -> Samples:
    return np.pad(sound, (0, max(0, int(SHORTEST_AUDIO * RATE) - len(sound))))


def positions(seconds: float) -> int:
    """Of the encoder, for so much sound."""
    return min(FULL_CONTEXT, max(LEAST_CONTEXT, round(CONTEXT_PER_SECOND * seconds) + SPARE_CONTEXT))


def most_tokens(seconds: float) -> int:
    return round(SPARE_TOKENS + TOKENS_PER_SECOND * seconds)
