"""What a comparison found, for people (`docs/benchmarks.md`, with a plot) and for programs (`docs/benchmarks.json`)."""

import datetime
import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import drawing, report
from bench.programs import Program
from bench.report import Score
from bench.tracks import KINDS, SILENT, VERSION

DOCS = Path("docs")
BEGIN, END = "<!-- made by make {name} -->", "<!-- end of make {name} -->"
SPEAKING = (*KINDS, "jfk")


def publish(found: Sequence[Score], cores: int, docs: Path | None) -> int:
    """Prints tables and bounds, and writes all into `docs`; returns 1 if a bound is missed, else 0."""
    kept = report.bounds(found)
    about: dict[str, object] = {
        "machine": machine(),
        "cores": cores,
        "date": datetime.date.today().isoformat(),
        "tracks": VERSION,
        "versions": {each.program: f"{each.version}; {each.setting}" for each in found},
    }
    tables = _tables(found)
    print("\n\n".join(tables))
    for bound in kept:
        print(bound)
    if docs is not None:
        told = {**about, "scores": [_told(each) for each in found]}
        (docs / "benchmarks.json").write_text(json.dumps(told, indent=1) + "\n")
        replace_section(docs / "benchmarks.md", "bench", "\n\n".join([_about(about), *tables, _promises(kept)]))
        plot(found, docs / "benchmarks.svg")
    return int(not all(bound.kept for bound in kept))


def published(programs: Sequence[Program]) -> list[Score]:
    """The scores in `docs/benchmarks.json` of tracks and programs as they are now."""
    told = json.loads((DOCS / "benchmarks.json").read_text())
    if told["tracks"] != VERSION:
        return []
    now = {(each.name, each.version(), each.setting) for each in programs}
    scores = [Score.model_validate(each) for each in told["scores"]]
    return [each for each in scores if (each.program, each.version, each.setting) in now]


def replace_section(file: Path, name: str, text: str) -> None:
    """Puts `text` between the two comments of that name. Raises ValueError if they are not there."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, found, rest = file.read_text().partition(begin)
    _, found_too, after = rest.partition(end)
    if not found or not found_too:
        raise ValueError(f"{file} has no '{begin}' and '{end}'")
    file.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def machine() -> str:
    cpus = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return f"{cpus[0] if cpus else platform.machine()}, {platform.system()}, Python {platform.python_version()}"


def _told(score: Score) -> dict[str, object]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in score if value is not None}


def _about(about: dict[str, object]) -> str:
    versions = about["versions"]
    assert isinstance(versions, dict)
    listed = "\n".join(f"- {program}: {version}" for program, version in versions.items())
    where = f"{about['date']}, {about['cores']} cores of {about['machine']}:"
    return f"{where}\n\n{listed}\n\n![Word errors and times](benchmarks.svg)"


def _tables(found: Sequence[Score]) -> list[str]:
    texts = []
    for model in _unique(each.model for each in found):
        mine = [each for each in found if each.model == model]
        texts += [f"### {model}: accuracy", _accuracy([each for each in mine if not each.figures])]
        if any(each.figures for each in mine):
            texts += [f"### {model}: cuts and preparing", _cuts([each for each in mine if each.figures])]
        if any(each.runs for each in mine):
            texts += [f"### {model}: speed and memory", _speed([each for each in mine if each.runs])]
    return texts


def _accuracy(mine: Sequence[Score]) -> str:
    """Word error rates by kind of track, times, and what was invented."""
    kinds = [kind for kind in SPEAKING if any(each.kind == kind for each in mine)]
    silent = [kind for kind in SILENT if any(each.kind == kind for each in mine)]
    others = _unique(each.kind for each in mine if each.kind not in (*SPEAKING, *SILENT))
    head = ["program", *(f"{kind}, WER %" for kind in [*kinds, *others]), "start, s", "end, s"]
    rows = []
    for program in _unique(each.program for each in mine):
        scores = [each for each in mine if each.program == program]
        row = [program]
        for kind in [*kinds, *others]:
            of = [each for each in scores if each.kind == kind]
            row.append(f"{report.rate(of):.2f}{'' if len(of) == 1 else f' ({len(of)})'}" if of else "")
        row += [_mean(scores, lambda each: each.start_error), _mean(scores, lambda each: each.end_error)]
        row += [str(sum(each.invented for each in scores if each.kind == kind)) for kind in silent]
        rows.append(row)
    return table([*head, *(f"{kind}, words" for kind in silent)], rows)


def _speed(timed: Sequence[Score]) -> str:
    head = ["program", "track", "runs", "time, s", "loading, s", "process, s", "processors, s", "peak memory, MB"]
    return table(
        head,
        [
            [
                each.program,
                each.track,
                str(each.runs),
                f"{each.recognising:.1f}",
                f"{each.loading:.1f}",
                f"{each.wall:.1f}",
                f"{each.cpu:.1f}",
                f"{(each.peak_bytes or 0) / 2**20:.0f}",
            ]
            for each in sorted(timed, key=lambda each: each.track)
        ],
    )


def _cuts(scores: Sequence[Score]) -> str:
    names = {
        "cut_at_pauses": "cut every minute at a pause: words that differ, %",
        "cut_anywhere": "cut at the second, %",
        "preparing": "decoding, voice activity and cutting, processors' s",
        "recognising": "recognising, s",
    }
    return table(
        ["track", *names.values()], [[each.track, *(f"{each.figures[name]:.2f}" for name in names)] for each in scores]
    )


def _promises(kept: Sequence[report.Bound]) -> str:
    rows = [[each.text, f"{each.ours:.3g}", f"{each.limit:.3g}", "yes" if each.kept else "**no**"] for each in kept]
    return "### Bounds\n\n" + table(["figure", "ours", "bound", "kept"], rows)


def _mean(scores: Sequence[Score], figure: Callable[[Score], float | None]) -> str:
    values = [value for each in scores if (value := figure(each)) is not None]
    return f"{sum(values) / len(values):.2f}" if values else ""


def _unique(values: object) -> list[str]:
    return list(dict.fromkeys(values))  # type: ignore[call-overload]


def plot(found: Sequence[Score], file: Path) -> None:
    """Word errors beside time, a row for each model."""
    panels = []
    for model in _unique(each.model for each in found):
        mine = [each for each in found if each.model == model and not each.figures]
        spoken, timed = [each for each in mine if each.kind in KINDS], [each for each in mine if each.runs]
        panels.append(_bars(spoken, f"{model}: word errors, %", report.rate))
        panels.append(_bars(timed, f"{model}: seconds per minute of sound", _pace))
    drawing.bars(panels, 2, file)


def _pace(of: Sequence[Score]) -> float:
    return 60 * sum(each.recognising or 0 for each in of) / sum(each.audio_seconds for each in of)


def _bars(found: Sequence[Score], title: str, figure: Callable[[Sequence[Score]], float]) -> drawing.Bars:
    groups: dict[str, dict[str, list[Score]]] = {}
    for each in found:
        groups.setdefault(each.program, {}).setdefault(each.kind, []).append(each)
    heights = {program: {kind: figure(of) for kind, of in kinds.items()} for program, kinds in groups.items()}
    return drawing.Bars(title, _unique(each.kind for each in found), heights)
