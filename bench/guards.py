"""What each guard against invented text costs where somebody speaks, and keeps away where nobody does.

`make bench-guards` hears every track with all guards, without each of them, and without any, and writes the table into
`docs/benchmarks.md`.
"""

import argparse
import datetime
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench import debian, scoring
from bench.chunking import MEMORY, hear
from bench.compare import FOLDER
from bench.publishing import DOCS, machine, replace_section, table
from bench.tracks import KINDS, SILENT, Track, silent, track
from chalicelib.jobs import Guard
from container import catalogue, media, weights
from container.catalogue import ModelError
from container.cutting import cut
from container.downloads import FetchError
from container.guards import ALL
from container.lanes import Lanes
from container.vad import Activity, SpeechDetector
from local.cli import CACHE

MODELS = CACHE / "models"


@dataclass(frozen=True)
class Sound:
    """A track, its samples and what voice activity detection makes of it."""

    track: Track
    samples: NDArray[np.int16]
    activity: Activity


def settings() -> Iterator[tuple[str, Collection[Guard]]]:
    """Guards with a name for what they are."""
    yield "all guards", ALL
    for guard in Guard:
        yield f"without `{guard}`", ALL - {guard}
    yield "none", frozenset()


def decoded(heard: Track) -> Sound:
    detector, blocks = SpeechDetector(catalogue.path(catalogue.VAD, MODELS)), []
    for block in media.decode(str(heard.sound)):
        detector.feed(block)
        blocks.append(block)
    return Sound(heard, np.concatenate(blocks), detector.finish())


def wrong(sound: Sound, guards: Collection[Guard], lanes: Lanes, model: str) -> int:
    """Words that are wrong, or that nobody said."""
    text = hear(sound.samples, cut(sound.activity, guards), lanes, model, guards)
    if not sound.track.speaks:
        return scoring.spoken(text, scoring.normaliser())
    found = scoring.errors(sound.track.text, text, scoring.normaliser())
    return found.substituted + found.deleted + found.inserted


def rows(sounds: Sequence[Sound], lanes: Lanes, model: str) -> Iterator[list[str]]:
    for name, guards in settings():
        row = [name, *(str(wrong(sound, guards, lanes, model)) for sound in sounds)]
        print(model, *row, flush=True)
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=str.split, default=["tiny.en", "base"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    folders = FOLDER / "tracks", FOLDER / "debian"
    try:
        for name in (catalogue.VAD, *args.models):
            weights.install(name, MODELS, lambda _message, _share: None)
        kinds = [kind for kind in KINDS if kind != "hour"]
        tracks = [track(kind, args.seed, *folders) for kind in kinds] + [silent(kind, *folders) for kind in SILENT]
    except (debian.NoPackage, ModelError, FetchError) as error:
        sys.exit(str(error))
    sounds, lanes = [decoded(each) for each in tracks], Lanes(MODELS, args.cores, MEMORY)
    texts = [f"{machine()}, {args.cores} cores, {datetime.date.today().isoformat()}."]
    for model in args.models:
        head = [model, *(f"{each.name} ({each.seconds / 60:.0f} min)" for each in tracks)]
        texts.append(table(head, list(rows(sounds, lanes, model))))
    replace_section(DOCS / "benchmarks.md", "bench-guards", "\n\n".join(texts))


if __name__ == "__main__":
    main()
