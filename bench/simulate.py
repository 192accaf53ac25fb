"""What transcribing takes on AWS, from one file to a hundred thousand: `make simulate` writes `docs/scale.md`."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from bench import drawing
from bench.programs import OURS
from bench.publishing import DOCS, replace_section, table
from bench.report import LONG
from bench.scale import (
    DISPATCH,
    VCPU,
    Outcome,
    Platform,
    Work,
    in_batches,
    in_one_function,
    longest_in_one_function,
)
from chalicelib import speeds
from deploy.settings import SHARE_OF_CONCURRENCY

ACCOUNTS = {10: "new account (10 functions)", 1000: "usual account (1,000)"}
MODELS = ("tiny.en", "base", "small", "large-v3-turbo")
LENGTHS = (600, 3600, 4 * 3600, 10 * 3600, 24 * 3600)
COUNTS = (1, 10, 100, 1000, 10_000, 100_000)
MODEL, HOUR = "base", 3600.0
"""What is shown of many files: an hour each, with the model that is the default."""

BATCHES = (30, 60, 120, 180, 240, 300, 450, 600, 900, 1200, 1800, 3600)
CASES = ((1, 600.0), (1, HOUR), (1, 4 * HOUR), (100, HOUR))
DEARER = 0.1
"""By how much of the cheapest price a batch size may be dearer, so that results are there sooner."""

MANAGED = {"Amazon Transcribe": 1.44, "gpt-4o-transcribe": 0.36, "gpt-4o-mini-transcribe": 0.18, "AssemblyAI": 0.15}
"""Dollars for an hour of audio (docs/cost.md)."""

TEMPLATE = Path("infrastructure.yaml")
LONGEST_WORKFLOW = 48 * HOUR


def platform(account: int) -> Platform:
    """Settings as deployed to an account that may run so many functions at once."""
    return Platform(concurrency=max(1, int(account * SHARE_OF_CONCURRENCY)))


def work(files: int, seconds: float, model: str, measured: Mapping[str, float]) -> Work:
    recognising = measured.get(model) or speeds.processor_seconds(model)
    assert recognising is not None, model
    return Work(files, seconds, recognising, speeds.PREPARING)


def measured_speeds(benchmark: Mapping[str, Any]) -> dict[str, float]:
    """Processor seconds per second of speech of the models that `make bench` timed: processors times time.

    The median over tracks; decoding is in it.
    """
    found: dict[str, list[float]] = {}
    for score in benchmark["scores"]:
        if score["program"] == OURS.name and "recognising" in score and score["audio_seconds"] >= LONG:
            factor = benchmark["cores"] * score["recognising"] / score["speech_seconds"]
            found.setdefault(score["model"], []).append(factor)
    return {model: median(factors) for model, factors in found.items()}


def known_speeds(figures: Path = DOCS / "benchmarks.json") -> dict[str, float]:
    """Those in the file that `make bench` wrote, if there is one."""
    return measured_speeds(json.loads(figures.read_text())) if figures.exists() else {}


def chosen_batch(curves: Sequence[Mapping[int, Outcome]]) -> int:
    """The smallest batch size that is nowhere dearer than the cheapest by more than DEARER."""
    return min(
        size
        for size in curves[0]
        if all(curve[size].dollars <= (1 + DEARER) * min(each.dollars for each in curve.values()) for curve in curves)
    )


def default_batch() -> int:
    """`BATCH_SECONDS` of a stage that sets none."""
    found = re.search(r"  BatchSeconds:\n    Type: Number\n    Default: (\d+)", TEMPLATE.read_text())
    assert found is not None, TEMPLATE
    return int(found[1])


def batch_curves(measured: Mapping[str, float], account: int) -> list[dict[int, Outcome]]:
    """For each of CASES what every batch size takes."""
    jobs = [work(files, seconds, MODEL, measured) for files, seconds in CASES]
    return [{size: in_batches(job, size, platform(account)) for size in BATCHES} for job in jobs]


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR:.1f} h" if seconds < 2 * 24 * HOUR else f"{seconds / 24 / HOUR:.0f} days"


def money(dollars: float) -> str:
    return f"${dollars:,.4f}" if dollars < 0.1 else f"${dollars:,.2f}"


def one_file(measured: Mapping[str, float], size: int) -> str:
    rows = []
    for model in MODELS:
        for seconds in LENGTHS:
            job = work(1, seconds, model, measured)
            new, usual = (in_batches(job, size, platform(account)) for account in ACCOUNTS)
            single = in_one_function(job, platform(1000))
            rows.append(
                [
                    *(model, duration(seconds), duration(new.seconds), duration(usual.seconds)),
                    *(str(usual.concurrency), f"{usual.function_seconds:,.0f}", money(usual.dollars)),
                    "stopped after 15 min" if single.failed else duration(single.seconds),
                    "-" if single.failed else money(single.dollars),
                ]
            )
    head = ["model", "file", "new account", "usual account", "functions", "function-s", "price"]
    return table([*head, "one function a file", "its price"], rows)


def many_files(measured: Mapping[str, float], size: int) -> str:
    rows = []
    for account in ACCOUNTS:
        for files in COUNTS:
            job = work(files, HOUR, MODEL, measured)
            ours, single = in_batches(job, size, platform(account)), in_one_function(job, platform(account))
            late = " (over 48 h: several jobs)" if ours.seconds > LONGEST_WORKFLOW else ""
            rows.append(
                [
                    *(f"{account:,}", f"{files:,}", duration(ours.seconds) + late, f"{ours.concurrency:,}"),
                    *(f"{ours.function_seconds:,.0f}", money(ours.dollars)),
                    *(duration(single.seconds), money(single.dollars)),
                    *(money(price * files) for price in MANAGED.values()),
                ]
            )
    head = ["account", "files of 1 h", "time", "functions", "function-s", "price", "one function a file", "its price"]
    return table([*head, *MANAGED], rows)


def ceiling(measured: Mapping[str, float]) -> str:
    rows = []
    for model in MODELS:
        row = [model]
        for memory in (3008, 10_240):
            place = replace(platform(1000), transcriber_memory=memory)
            row.append(duration(longest_in_one_function(work(1, HOUR, model, measured), place)))
        rows.append(row)
    return table(["model", "3,008 MB", "10,240 MB"], rows)


def batches(curves: Sequence[Mapping[int, Outcome]]) -> str:
    def cell(outcome: Outcome, job: tuple[int, float]) -> str:
        return f"{duration(outcome.seconds)}, {money(outcome.dollars * HOUR / (job[0] * job[1]))}"

    head = ["batch, s", *(f"{files} × {duration(seconds)}" for files, seconds in CASES)]
    return table(
        head,
        [[str(size), *(cell(curve[size], job) for curve, job in zip(curves, CASES, strict=True))] for size in BATCHES],
    )


def plots_of_jobs(measured: Mapping[str, float], size: int) -> list[drawing.Lines]:
    """Time to the transcript: of one file by its length, and of files of an hour by their number."""
    lengths = [600 * 1.25**power for power in range(23)]
    single = [work(1, seconds, MODEL, measured) for seconds in lengths]
    many = [work(files, HOUR, MODEL, measured) for files in COUNTS]

    def ours(jobs: Sequence[Work], account: int, x: Sequence[float]) -> list[tuple[float, float]]:
        return [(at, in_batches(job, size, platform(account)).seconds) for at, job in zip(x, jobs, strict=True)]

    def one(jobs: Sequence[Work], account: int, x: Sequence[float]) -> list[tuple[float, float]]:
        outcomes = [(at, in_one_function(job, platform(account))) for at, job in zip(x, jobs, strict=True)]
        return [(at, outcome.seconds) for at, outcome in outcomes if not outcome.failed]

    hours = [seconds / HOUR for seconds in lengths]
    return [
        drawing.Lines(
            f"One file, {MODEL}",
            "hours of audio",
            "seconds to the transcript",
            {
                **{f"this, {name}": ours(single, account, hours) for account, name in ACCOUNTS.items()},
                "one function a file, until it is stopped": one(single, 1000, hours),
            },
        ),
        drawing.Lines(
            f"Files of an hour, {MODEL}",
            "files",
            "seconds to the last transcript",
            {
                **{f"this, {name}": ours(many, account, COUNTS) for account, name in ACCOUNTS.items()},
                **{f"one function a file, {name}": one(many, account, COUNTS) for account, name in ACCOUNTS.items()},
            },
        ),
    ]


def plots_of_batches(curves: Sequence[Mapping[int, Outcome]]) -> list[drawing.Lines]:
    time, price = {}, {}
    for curve, (files, seconds) in zip(curves, CASES, strict=True):
        name, hours = f"{files} × {duration(seconds)}", files * seconds / HOUR
        time[name] = [(size, each.seconds) for size, each in curve.items()]
        price[name] = [(size, each.dollars / hours) for size, each in curve.items()]
    return [
        drawing.Lines("Time by batch size, usual account", "seconds of audio in a batch", "seconds", time),
        drawing.Lines("Price by batch size", "seconds of audio in a batch", "$ per audio hour", price),
    ]


def assumptions(measured: Mapping[str, float]) -> str:
    place = Platform(1)
    told = ", ".join(
        f"{model} {work(1, 1, model, measured).recognising:.3f} ({_source(model, measured)})" for model in MODELS
    )
    return "\n".join(
        [
            f"- Processor seconds per second of audio: {told}; decoding {speeds.PREPARING:.4f}. All audio is speech.",
            f"- {place.transcriber_memory:,} MB for recognising ({place.transcriber_memory / VCPU:.2f} vCPUs), "
            f"{place.steps_memory:,} MB for the other steps, {place.architecture}; {VCPU:,} MB are a vCPU, as fast as "
            "a core of the machine of docs/benchmarks.md.",
            f"- {place.cold_start:.0f} s for a cold start, paid for; {place.state:.0f} s between two states of the "
            f"workflow, {place.short_step:.0f} s for a step that neither decodes nor recognises.",
            f"- Step Functions starts {DISPATCH:.0f} children a second; a job keeps {SHARE_OF_CONCURRENCY:.0%} of the "
            "account's functions busy.",
        ]
    )


def _source(model: str, measured: Mapping[str, float]) -> str:
    if model in measured:
        return "make bench"
    return "measured" if speeds.is_measured(model) else "estimate"


def main() -> None:
    measured = known_speeds()
    curves = batch_curves(measured, 1000)
    size = chosen_batch(curves)
    sections = {
        "assumptions": assumptions(measured),
        "one-file": one_file(measured, size),
        "ceiling": ceiling(measured),
        "many-files": many_files(measured, size),
        "batches": f"{batches(curves)}\n\nThe rule gives **{size} s**; `BATCH_SECONDS` is {default_batch()} s.",
    }
    for name, text in sections.items():
        replace_section(DOCS / "scale.md", f"simulate: {name}", text)
    drawing.lines(plots_of_jobs(measured, size), 2, DOCS / "scale.svg")
    drawing.lines(plots_of_batches(curves), 2, DOCS / "batches.svg")
    print(sections["batches"])


if __name__ == "__main__":
    main()
