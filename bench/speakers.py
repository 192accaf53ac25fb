"""How well speakers are told apart: conversations of known turns, made of prompts that four people recorded.

`make bench-speakers`; the sound comes from Debian's packages. Of all speech, as voice activity detection finds it, it
counts how much is given to somebody else than who says it, under the naming that suits best. Nobody speaks at once, and
each voice has a recording room of its own, which makes it easier than a meeting.
"""

import itertools
import random
import sys
import time
from pathlib import Path

import numpy as np

from bench import debian
from bench.tracks import Sound, decode
from container import catalogue, weights
from container.cutting import cut
from container.diarization import cluster
from container.media import RATE
from container.vad import SpeechDetector
from container.voices import Voices

CACHE = Path(".cache")
VOICES = {"en": "en_US_f_Allison", "fr": "fr_CA_f_June", "it": "it_IT_m_Carlo", "ru": "ru_RU_f_IvrvoiceRU"}
SECONDS = 120
PAUSES = 0.05, 0.6
SHORTEST, LONGEST = 8_000, 96_000
"""Bytes of the prompts taken: 1 to 12 seconds of G.722."""

WORST = 0.05
"""Share of speech that may be given to the wrong speaker."""

Turn = tuple[float, float, int]


def main() -> int:
    for name in (catalogue.VAD, catalogue.VOICES):
        weights.install(name, CACHE / "models", lambda *_: None)
    prompts = [_prompts(language, name) for language, name in VOICES.items()]
    model, missed = Voices(catalogue.path(catalogue.VOICES, CACHE / "models")), False
    print("voices | found | wrong speaker, % | processor seconds a minute of speech")
    for count in range(1, len(prompts) + 1):
        sound, turns = conversation(prompts[:count], seed=count)
        found, wrong, seconds = measured(model, sound, turns)
        missed |= found != count or wrong > WORST
        print(f"{count} | {found} | {100 * wrong:.1f} | {seconds:.1f}", flush=True)
    return int(missed)


def _prompts(language: str, name: str) -> list[Path]:
    package = f"asterisk-core-sounds-{language}-g722"
    files = sorted((debian.unpacked(package, CACHE / "packages") / "usr/share/asterisk/sounds" / name).glob("*.g722"))
    return [file for file in files if SHORTEST <= file.stat().st_size <= LONGEST]


def conversation(prompts: list[list[Path]], seed: int) -> tuple[Sound, list[Turn]]:
    """Turns of one to three prompts, and when each voice speaks."""
    chance = random.Random(seed)  # noqa: S311
    sounds, turns, length, speaker = [], [], 0, -1
    while length < SECONDS * RATE:
        speaker = chance.choice([voice for voice in range(len(prompts)) if voice != speaker] or [0])
        start = length
        for prompt in chance.sample(prompts[speaker], chance.randint(1, 3)):
            pause = np.zeros(round(chance.uniform(*PAUSES) * RATE), np.float32)
            sounds += [decode(prompt, "-f", "g722"), pause]
            length = sum(map(len, sounds))
        turns.append((start / RATE, length / RATE, speaker))
    return np.concatenate(sounds), turns


def measured(model: Voices, sound: Sound, turns: list[Turn]) -> tuple[int, float, float]:
    """Speakers found, share of the speech given to the wrong one, processor seconds a minute of speech."""
    detector = SpeechDetector(catalogue.path(catalogue.VAD, CACHE / "models"))
    detector.feed((sound * 32767).astype(np.int16))
    chunks, voices = cut(detector.finish()), []
    began = time.process_time()
    for chunk in chunks:
        samples = sound[round(chunk.start * RATE) : round(chunk.end * RATE)]
        voices += model.hear(samples, chunk)
    speakers = cluster(voices)
    taken = time.process_time() - began
    middles = np.array([(voice.start + voice.end) / 2 for voice in voices])
    speech = [span for chunk in chunks for span in chunk.speech]
    times = np.concatenate([np.arange(span.start, span.end, 0.01) for span in speech])
    found = np.array(speakers)[np.argmin(np.abs(times[:, np.newaxis] - middles), axis=1)]
    true = np.array([next(who for _, end, who in turns if second < end) for second in times])
    size = max(max(speakers), max(who for *_, who in turns)) + 1
    same = np.zeros((size, size))
    np.add.at(same, (found, true), 1)
    right = max(sum(same[own, who] for own, who in enumerate(order)) for order in itertools.permutations(range(size)))
    return max(speakers) + 1, float(1 - right / len(times)), 60 * taken / (len(times) / 100)


if __name__ == "__main__":
    sys.exit(main())
