"""Tracks whose words and times are known: recorded prompts in random order, with pauses, noise or music between."""

import json
import random
import subprocess
import wave
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from bench import debian
from container.media import RATE

VERSION = 3
"""To be raised when tracks come out differently."""

TEXTS = Path(__file__).with_name("prompts.tsv")
SPEECH = "usr/share/asterisk/sounds/en_US_f_Allison"
MUSIC = "usr/share/asterisk/moh"
AUDIBLE = 0.01
"""Amplitude from which on a prompt is heard: where an utterance begins and ends."""
LEAD, TAIL = 0.025, 0.1
"""Seconds of a prompt's own surroundings that are kept before and after it."""
LONG_PAUSE, LONG_PAUSES = 8.0, 0.05
MUSIC_SECONDS, MUSIC_GAIN = 10, 0.3
KINDS = {"clean": 10.0, "noisy": 10.0, "music": 10.0, "hour": 60.0}
"""Kinds of tracks, and how many minutes they last."""
SEEDS = {kind: (1, 2, 3) if kind == "hour" else (1, 2, 3, 10, 11, 12, 13, 14, 15) for kind in KINDS}
"""What is judged on, at least 10,000 words of each kind; 4 to 9 are for development (docs/decisions.md)."""
NOISE = 10.0
"""dB by which white noise is fainter than the speech."""
SILENT = ("silence", "noise", "applause", "songs")
"""Tracks in which nobody speaks."""
KENNEDY = "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country."

Sound = NDArray[np.float32]


@dataclass(frozen=True)
class Utterance:
    """`start` and `end` in seconds, where it is heard first and last."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Track:
    """A WAV file, 16 kHz mono, and what is said in it; `utterances` are empty if their times are not known."""

    name: str
    sound: Path
    text: str
    seconds: float
    utterances: tuple[Utterance, ...] = ()

    @property
    def kind(self) -> str:
        return kind_of(self.name)

    @property
    def speech_seconds(self) -> float:
        """Without pauses; all of it if nobody told when what is said."""
        return sum(each.end - each.start for each in self.utterances) or self.seconds

    @property
    def speaks(self) -> bool:
        return bool(self.text)


def kind_of(name: str) -> str:
    """Tracks that differ by their seeds only are of one kind."""
    kind, _, _ = name.rpartition("-")
    return kind if kind in KINDS else name


def decode(path: Path, *options: str) -> Sound:
    """Any sound file as 16 kHz mono, from -1 to 1."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *options, "-i", str(path), "-f", "s16le", "-ac", "1"]
    run = subprocess.run([*command, "-ar", str(RATE), "-"], capture_output=True, check=True)
    return np.frombuffer(run.stdout, np.int16).astype(np.float32) / np.float32(32768)


def track(kind: str, seed: int, folder: Path, packages: Path) -> Track:
    """A track of one of KINDS, made unless it is there. Raises debian.NoPackage."""
    return _kept(folder / f"{kind}-{seed}-v{VERSION}.wav", f"{kind}-{seed}", lambda: _spoken(kind, seed, packages))


def silent(kind: str, folder: Path, packages: Path) -> Track:
    """A track of SILENT, made unless it is there. Raises debian.NoPackage."""
    make: dict[str, Callable[[], Sound]] = {
        "silence": lambda: np.zeros(300 * RATE, np.float32),
        "noise": lambda: np.random.default_rng(1).normal(0, 0.05, 300 * RATE).astype(np.float32),
        "applause": lambda: _applause(packages),
        "songs": lambda: np.concatenate(_songs(packages)),
    }
    return _kept(folder / f"{kind}-v{VERSION}.wav", kind, lambda: (make[kind](), []))


def kennedy(sound: Path) -> Track:
    return Track("jfk", sound, KENNEDY, 11.0)


def own(folder: Path, cache: Path) -> list[Track]:
    """Every file of sound in a user's folder that has a `.txt` beside it, decoded into `cache`. Raises ValueError."""
    texts = {path.with_suffix(""): path for path in sorted(folder.glob("*.txt"))}
    sounds = [path for path in sorted(folder.iterdir()) if path.suffix != ".txt" and path.with_suffix("") in texts]
    if not sounds:
        raise ValueError(f"There is no sound in {folder} with a .txt of the same name beside it.")
    tracks = []
    for sound in sounds:
        decoded, target = decode(sound), cache / "own" / f"{sound.stem}.wav"
        _write(target, decoded)
        tracks.append(Track(sound.stem, target, texts[sound.with_suffix("")].read_text(), len(decoded) / RATE))
    return tracks


def joined(pieces: list[tuple[Sound, str, Sound]]) -> tuple[Sound, list[Utterance]]:
    """Prompts (with LEAD and TAIL), their texts and the pauses after them, one after the other."""
    utterances, now = [], 0
    for speech, text, pause in pieces:
        utterances.append(Utterance(now / RATE + LEAD, (now + len(speech)) / RATE - TAIL, text))
        now += len(speech) + len(pause)
    return np.concatenate([part for speech, _, pause in pieces for part in (speech, pause)]), utterances


def trimmed(sound: Sound) -> Sound:
    """From LEAD before the first audible sample to TAIL after the last, with silence where the recording has less."""
    lead, tail = round(LEAD * RATE), round(TAIL * RATE)
    heard = np.flatnonzero(np.abs(sound) > AUDIBLE)
    padded = np.pad(sound, (lead, tail))
    return padded[heard[0] : heard[-1] + lead + tail]


def noised(sound: Sound, decibels: float, seed: int) -> Sound:
    """With white noise so many decibels fainter than the sound's mean power."""
    level = float(np.sqrt(np.mean(np.square(sound)))) * 10 ** (-decibels / 20)
    return (sound + np.random.default_rng(seed).normal(0, level, len(sound))).astype(np.float32)


def _spoken(kind: str, seed: int, packages: Path) -> tuple[Sound, list[Utterance]]:
    rng = random.Random(f"{kind} {seed}")  # noqa: S311
    prompts = debian.unpacked(debian.PROMPTS, packages) / SPEECH
    songs = _songs(packages) if kind == "music" else []
    lines = _texts()
    order: list[tuple[str, str]] = []
    pieces: list[tuple[Sound, str, Sound]] = []
    seconds = 0.0
    while seconds < 60 * KINDS[kind]:
        if not order:
            order = rng.sample(lines, len(lines))
        file, text = order.pop()
        pause = _pause(rng, songs)
        speech = _prompt(prompts / f"{file}.g722")
        pieces.append((speech, text, pause))
        seconds += (len(speech) + len(pause)) / RATE
    sound, utterances = joined(pieces)
    return (noised(sound, NOISE, seed) if kind == "noisy" else sound), utterances


def _pause(rng: random.Random, songs: list[Sound]) -> Sound:
    """Between 0.2 and 3 s, now and then 8 s, or some music between two seconds of silence if there is any."""
    if rng.random() >= LONG_PAUSES:
        return np.zeros(round(rng.uniform(0.2, 3.0) * RATE), np.float32)
    if not songs:
        return np.zeros(round(LONG_PAUSE * RATE), np.float32)
    song = rng.choice(songs)
    at, second = rng.randrange(len(song) - MUSIC_SECONDS * RATE), np.zeros(RATE, np.float32)
    return np.concatenate([second, np.float32(MUSIC_GAIN) * song[at : at + MUSIC_SECONDS * RATE], second])


@cache
def _prompt(path: Path) -> Sound:
    return trimmed(decode(path, "-f", "g722"))


def _texts() -> list[tuple[str, str]]:
    lines = [line for line in TEXTS.read_text().splitlines() if not line.startswith("#")]
    return [(file, text) for file, text in (line.split("\t") for line in lines)]


def _songs(packages: Path) -> list[Sound]:
    return [
        decode(path, "-f", "g722") for path in sorted((debian.unpacked(debian.MUSIC, packages) / MUSIC).glob("*.g722"))
    ]


def _applause(packages: Path) -> Sound:
    """Two minutes of audiences, with pauses of a second."""
    files = [debian.unpacked(package, packages) / file for package, names in debian.AUDIENCES.items() for file in names]
    sounds = [decode(file) for file in files]
    pause = np.zeros(RATE, np.float32)
    once = np.concatenate([part for sound in sounds for part in (sound, pause)])
    return np.tile(once, 120 * RATE // len(once) + 1)


def _kept(file: Path, name: str, make: Callable[[], tuple[Sound, list[Utterance]]]) -> Track:
    """The track in a file, with its utterances in a JSON beside it; made if the JSON, written last, is missing."""
    described = file.with_suffix(".json")
    if not described.exists():
        sound, utterances = make()
        _write(file, sound)
        described.write_text(json.dumps([asdict(utterance) for utterance in utterances]))
    told = tuple(Utterance(**utterance) for utterance in json.loads(described.read_text()))
    with wave.open(str(file)) as opened:
        seconds = opened.getnframes() / RATE
    return Track(name, file, " ".join(utterance.text for utterance in told), seconds, told)


def _write(file: Path, sound: Sound) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as target:
        target.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        target.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
