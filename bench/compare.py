"""Ours beside other programs with the same weights, on the same sound and cores: `make bench`."""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import debian, differing, installing, measuring, publishing, report, tracks
from bench.programs import OURS, PROGRAMS, Place, Program
from bench.results import Result, Store
from bench.tracks import Track
from container import catalogue, weights
from container.catalogue import ModelError
from container.downloads import FetchError
from local import demo
from local.cli import CACHE

FOLDER = CACHE / "bench"
BUILD = Path("build/bench")


@dataclass(frozen=True)
class Plan:
    """What is to be run: `runs` of each timed program if `speed`, else one of each."""

    programs: tuple[Program, ...]
    models: tuple[str, ...]
    tracks: tuple[Track, ...]
    speed: bool
    runs: int

    def __iter__(self) -> Iterator[tuple[int, str, Track, Program]]:
        """In turn, another program first each time, so that what else the machine does hits all alike."""
        turn = 0
        for run in range(self.runs):
            for model in self.models:
                for track in self.tracks:
                    turn += 1
                    for index in range(len(self.programs)):
                        program = self.programs[(index + turn) % len(self.programs)]
                        if program.only in ("", track.kind):
                            yield run, model, track, program


def carry_out(plan: Plan, place: Place, store: Store, only_find: bool = False) -> dict[Path, Result]:
    """The results of a plan by their files; what was found out before with the same versions is not run again."""
    results = {}
    for run, model, track, program in plan:
        version = program.version()
        file = store.file(program.name, version, program.setting, model, track.sound, run)
        result = store.get(file)
        if result is None or plan.speed > result.quiet:
            if only_find:
                continue
            heard, taken = program.run(place, model, track.sound)
            result = Result(
                program=program.name,
                version=version,
                setting=program.setting,
                model=model,
                track=track.name,
                quiet=plan.speed,
                heard=heard,
                seconds=taken.seconds,
                cpu_seconds=taken.cpu_seconds,
                peak_bytes=taken.peak_bytes,
            )
            store.put(file, result)
            print(report.line(result, track), flush=True)
        results[file] = result
    return results


def prepared(models: Sequence[str], cores: int, scratch: Path) -> Place:
    """Raises ModelError, FetchError or installing.Missing."""
    for name in (catalogue.VAD, *models):
        weights.install(name, CACHE / "models", lambda _message, _share: None)
    for model in models:
        installing.converted(model, FOLDER)
    place = Place(
        models=CACHE / "models",
        converted=FOLDER / "converted",
        whisper_cli=installing.whisper_cli(FOLDER),
        warming=demo.speech(CACHE / "samples"),
        scratch=scratch,
        cores=cores,
    )
    for model in models:
        OURS.run(place, model, place.warming)  # a machine on which it has not run is measured first
    return place


def chosen_tracks(kinds: Sequence[str], seeds: Sequence[int], audio: Path | None) -> list[Track]:
    """Tracks of these kinds and seeds, of `tracks.SEEDS` if none are given, or those in `audio`.

    Raises debian.NoPackage or ValueError.
    """
    folder, packages = FOLDER / "tracks", FOLDER / "debian"
    if audio is not None:
        return tracks.own(audio, folder)
    found = []
    for kind in kinds:
        if kind in tracks.KINDS:
            found += [tracks.track(kind, seed, folder, packages) for seed in seeds or tracks.SEEDS[kind]]
        elif kind in tracks.SILENT:
            found.append(tracks.silent(kind, folder, packages))
        elif kind == "jfk":
            found.append(tracks.kennedy(demo.speech(CACHE / "samples")))
        else:
            known = ", ".join([*tracks.KINDS, *tracks.SILENT, "jfk"])
            raise ValueError(f"There are no tracks '{kind}'; there are {known}.")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", choices=["all", "accuracy", "speed", "report"], default="all")
    parser.add_argument("--models", type=str.split, default=["tiny.en", "base"])
    parser.add_argument("--tracks", type=str.split, default=[*tracks.KINDS, *tracks.SILENT, "jfk"])
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split()], default=[])
    parser.add_argument("--programs", type=lambda text: text.split(","), default=[p.name for p in PROGRAMS])
    parser.add_argument("--runs", type=int, default=3, help="of each program when speed is measured")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--audio", type=Path, help="a folder with sound and texts of the same names")
    args = parser.parse_args()
    programs = tuple(program for program in PROGRAMS if program.name in args.programs)
    timed = tuple(program for program in programs if program.timed)
    store = Store(BUILD / "results")
    try:
        heard = tuple(chosen_tracks(args.tracks, args.seeds, args.audio))
        spoken = [track for track in heard if track.speaks and track.seconds >= report.LONG]
        long = tuple({track.kind: track for track in reversed(spoken)}.values())
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            place = prepared(args.models, args.cores, Path(scratch))
            found: dict[Path, Result] = {}
            if args.what != "accuracy":
                plan = Plan(timed, tuple(args.models), long, True, args.runs)
                found |= carry_out(plan, place, store, args.what == "report")
            if args.what != "speed":
                plan = Plan(programs, tuple(args.models), heard, False, 1)
                found |= carry_out(plan, place, store, args.what == "report")
    except (debian.NoPackage, installing.Missing, measuring.Failed, ModelError, FetchError, ValueError) as error:
        sys.exit(str(error))
    results = list(found.values())
    (BUILD / "differences.txt").write_text(differing.from_the_best(results, heard))
    scores = report.scores(results, heard)
    if args.what == "report":
        scores = report.completed(scores, publishing.published(programs))
    order = [program.name for program in PROGRAMS]
    scores.sort(key=lambda each: order.index(each.program))
    sys.exit(publishing.publish(scores, args.cores, publishing.DOCS if args.what == "report" else None))


if __name__ == "__main__":
    main()
