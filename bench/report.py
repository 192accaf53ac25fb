"""From results to scores, tables and the bounds that the project sets itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from pydantic import BaseModel

from bench import scoring
from bench.programs import BATCHED, CLI, CUT, OURS
from bench.results import Result
from bench.tracks import SILENT, Track, kind_of

LONG = 600.0
"""Seconds of sound from which on speed is compared."""

FASTER_THAN_BATCHED, FASTER_THAN_CLI = 0.75, 0.5
TIME_ERROR = 0.2
CHANGED_BY_CUTS = 1.0
PREPARING, PREPARING_MODEL = 3.0, "base"


class Score(BaseModel):
    """What a program made of a track; figures of time are medians over its runs, absent if none was for speed.

    `start_error` and `end_error` are seconds, `invented` are words where nobody speaks.
    """

    program: str
    version: str
    setting: str
    model: str
    track: str
    audio_seconds: float
    speech_seconds: float
    words: int = 0
    substituted: int = 0
    deleted: int = 0
    inserted: int = 0
    start_error: float | None = None
    end_error: float | None = None
    invented: int = 0
    runs: int = 0
    loading: float | None = None
    recognising: float | None = None
    wall: float | None = None
    cpu: float | None = None
    peak_bytes: float | None = None
    figures: dict[str, float] = {}

    @property
    def kind(self) -> str:
        return kind_of(self.track)

    @property
    def wrong(self) -> int:
        return self.substituted + self.deleted + self.inserted


@dataclass(frozen=True)
class Bound:
    """A promise, the figures that it is about, and whether it is kept."""

    text: str
    ours: float
    limit: float
    kept: bool

    def __str__(self) -> str:
        return f"{'kept  ' if self.kept else 'MISSED'}  {self.text}: {self.ours:.3g}, bound {self.limit:.3g}"


def score(runs: Sequence[Result], track: Track, normalise: Callable[[str], str]) -> Score:
    """The runs of one program on one track, all with the same text."""
    first, timed = runs[0], [run for run in runs if run.quiet]
    found = Score(
        program=first.program,
        version=first.version,
        setting=first.setting,
        model=first.model,
        track=track.name,
        audio_seconds=track.seconds,
        speech_seconds=track.speech_seconds,
        figures=first.heard.figures,
    )
    if track.speaks:
        errors = scoring.errors(track.text, first.heard.text, normalise)
        found = found.model_copy(update=vars(errors))
        times = scoring.times(track.utterances, first.heard.words)
        if times:
            found = found.model_copy(update={"start_error": times.start, "end_error": times.end})
    else:
        found = found.model_copy(update={"invented": scoring.spoken(first.heard.text, normalise)})
    if not timed:
        return found
    figures = {
        "runs": len(timed),
        "loading": median(run.heard.loading for run in timed),
        "recognising": median(run.heard.recognising for run in timed),
        "wall": median(run.seconds for run in timed),
        "cpu": median(run.cpu_seconds for run in timed),
        "peak_bytes": median(run.peak_bytes for run in timed),
    }
    return found.model_copy(update=figures)


def scores(results: Sequence[Result], heard: Sequence[Track]) -> list[Score]:
    tracks = {track.name: track for track in heard}
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.model, result.track, result.program), []).append(result)
    return [score(runs, tracks[track], scoring.normaliser()) for (_, track, _), runs in groups.items()]


def completed(found: Sequence[Score], earlier: Sequence[Score]) -> list[Score]:
    """What was found now, and for what was not run now the words of what was found earlier.

    Times are left out of the latter, since another machine, or another hour, tells others.
    """
    now = {(each.program, each.model, each.track) for each in found}
    untimed = dict.fromkeys(("loading", "recognising", "wall", "cpu", "peak_bytes")) | {"runs": 0}
    return [
        *found,
        *(
            each.model_copy(update=untimed)
            for each in earlier
            if (each.program, each.model, each.track) not in now and not each.figures
        ),
    ]


def rate(of: Sequence[Score]) -> float:
    """Word errors over several tracks, in per cent of their words."""
    return 100 * sum(each.wrong for each in of) / sum(each.words for each in of)


def bounds(found: Sequence[Score]) -> list[Bound]:
    """The promises, as far as the scores tell."""
    return [bound for model in _unique(each.model for each in found) for bound in _bounds(model, found)]


def _bounds(model: str, found: Sequence[Score]) -> list[Bound]:
    mine = [each for each in found if each.model == model]
    kept: list[Bound] = []
    for kind in _unique(each.kind for each in mine):
        by = {
            program: [each for each in mine if each.kind == kind and each.program == program]
            for program in _unique(each.program for each in mine if each.kind == kind)
        }
        if OURS.name in by:
            kept += _of_kind(f"{model}, {kind}", kind, by)
    return kept


def _of_kind(name: str, kind: str, by: dict[str, list[Score]]) -> list[Bound]:
    ours, found = by[OURS.name], []
    if kind in SILENT:
        invented = sum(each.invented for each in ours)
        return [Bound(f"{name}: words", invented, 0, invented == 0)]
    rates = {program: rates for program, scored in by.items() if (rates := _rates(ours, scored))}
    if CLI.name in rates:
        mine, limit = rates[CLI.name]
        found.append(Bound(f"{name}: WER in % below whisper-cli's", mine, limit, mine < limit or not mine))
    faster = [pair for program, pair in rates.items() if program.startswith("faster-whisper")]
    if faster:
        mine, limit = min(faster, key=lambda pair: pair[1] - pair[0])
        found.append(_at_most(f"{name}: WER in % of faster-whisper's best mode", mine, limit))
    for edge in ("start_error", "end_error"):
        errors = [each for scored in ours if (each := getattr(scored, edge)) is not None]
        if errors:
            found.append(_at_most(f"{name}: median {edge.replace('_', ' ')} in s", fmean(errors), TIME_ERROR))
    for program, share in ((BATCHED.name, FASTER_THAN_BATCHED), (CLI.name, FASTER_THAN_CLI)):
        pairs = _pairs(ours, by.get(program, []), "recognising")
        if pairs:
            mean = fmean(mine / theirs for mine, theirs in pairs)
            found.append(_at_most(f"{name}: time as a share of {program}'s", mean, share))
    pairs = _pairs(ours, by.get(BATCHED.name, []), "peak_bytes")
    if pairs:
        mine, theirs = (max(each) / 2**20 for each in zip(*pairs, strict=True))
        found.append(_at_most(f"{name}: peak memory in MB, of faster-whisper's", mine, theirs))
    return found + _of_cuts(name, by.get(CUT.name, []))


def _of_cuts(name: str, scores: Sequence[Score]) -> list[Bound]:
    if not scores:
        return []
    changed = fmean(each.figures["cut_at_pauses"] for each in scores)
    found = [_at_most(f"{name}: words in % that differ if cut every minute", changed, CHANGED_BY_CUTS)]
    if scores[0].model == PREPARING_MODEL:
        share = fmean(100 * each.figures["preparing"] / each.figures["recognising"] for each in scores)
        found.append(_at_most(f"{name}: decoding and voice activity in % of recognising", share, PREPARING))
    return found


def _rates(ours: Sequence[Score], theirs: Sequence[Score]) -> tuple[float, float] | None:
    """Word errors of ours and theirs over the tracks that both have; None if there are none."""
    common = {each.track for each in ours} & {each.track for each in theirs}
    if not common:
        return None
    mine, other = (rate([each for each in scored if each.track in common]) for scored in (ours, theirs))
    return mine, other


def _pairs(ours: Sequence[Score], theirs: Sequence[Score], figure: str) -> list[tuple[float, float]]:
    """A figure of ours and theirs for each track that both have."""
    found = {each.track: getattr(each, figure) for each in theirs}
    both = [(getattr(each, figure), found.get(each.track)) for each in ours]
    return [(mine, other) for mine, other in both if mine is not None and other is not None]


def _at_most(text: str, ours: float, limit: float) -> Bound:
    return Bound(text, ours, limit, ours <= limit)


def _unique(values: object) -> list[str]:
    return list(dict.fromkeys(values))  # type: ignore[call-overload]


def line(result: Result, track: Track) -> str:
    """What to print when a program has run."""
    scored = score([result], track, scoring.normaliser())
    said = f"{scored.wrong} of {scored.words} words wrong" if track.speaks else f"{scored.invented} words"
    return (
        f"{result.model}, {result.track}, {result.program}: {said}; {result.heard.recognising:.1f} s, "
        f"{result.cpu_seconds:.1f} s of processors, {result.peak_bytes / 2**20:.0f} MB"
    )
