"""What is said at the end of a run."""

import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console

from client import text
from client.errors import Refused, TranscribeError
from client.models import File, Result, Summary
from client.progress import Progress

MOST_LISTED = 12
SHORT_SECONDS = 300
# The options that the API calls otherwise than the command line does.
OPTIONS = {"formats": "format"}


def done(
    console: Console, results: Sequence[Result], output: Path | None, seconds: float, verb: str = "Transcribed"
) -> None:
    """Says where the transcripts are and, of a single short file, what it says."""
    results = sorted(results, key=_order)
    fresh = [result for result in results if not result.error and not result.skipped]
    skipped = [result for result in results if result.skipped]
    if fresh:
        paths = [path for result in fresh for path in result.transcripts.values()]
        head = f"{verb} {text.count(len(fresh), 'file')} in {text.duration(seconds)}"
        if len(paths) <= MOST_LISTED:
            text.say(console, f"{head}:")
            text.verbatim(console, *(f"  {text.path(path)}" for path in paths))
        else:
            where = "beside their sources" if output is None else f"in {text.path(output)}"
            text.say(console, f"{head}. {text.count(len(paths), 'transcript')} are {where}.")
    if skipped:
        text.say(
            console, f"Skipped {text.count(len(skipped), 'file')} with transcripts already there (--force redoes them)."
        )
    for result in fresh:
        for warning in result.warnings:
            text.say(console, f"Note on {text.path(result.path)}: {text.printable(warning)}")
    if len(results) == len(fresh) == 1:
        _tell(console, fresh[0])


def failed(console: Console, results: Sequence[Result]) -> None:
    """Lists the files without transcripts, with the reasons."""
    errors = [
        (text.path(result.path), text.printable(result.error)) for result in sorted(results, key=_order) if result.error
    ]
    if not errors:
        return
    text.say(console, f"{text.count(len(errors), 'file')} failed:")
    text.say(console, *(f"  {path}: {error}" for path, error in errors))


def arrived(console: Console, messages: Console, result: Result) -> None:
    """Says what became of a file that came into a watched folder."""
    if result.error:
        text.say(messages, f"{text.path(result.path)}: {text.printable(result.error)}")
    elif not result.skipped:
        text.verbatim(console, f"{text.path(result.path)}: {', '.join(map(text.path, result.transcripts.values()))}")
    for warning in result.warnings:
        text.say(console, f"Note on {text.path(result.path)}: {text.printable(warning)}")


def _order(result: Result) -> tuple[Path, Path]:
    """Folder by folder."""
    return result.path.parent, result.path


def table(console: Console, jobs: Sequence[Summary]) -> None:
    """A line for each job."""
    rows = [("JOB", "CREATED", "STATE", "DONE", "FILES", "TITLE")]
    for job in jobs:
        created = datetime.fromisoformat(job.created_at).astimezone().strftime("%Y-%m-%d %H:%M")
        state = job.state.replace("_", " ")
        rows.append(
            (job.id, created, state, f"{int(job.percent)} %", f"{job.files_total:,}", text.printable(job.title))
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for *cells, title in rows:
        text.verbatim(console, "  ".join([*map(str.ljust, cells, widths), title]))


def status(console: Console, job: Summary, failed: Sequence[File]) -> None:
    """How a job is, in a few lines, and which of its files failed."""
    state = job.state.replace("_", " ")
    if not job.final and job.percent:
        state += f", {int(job.percent)} %"
    if job.seconds_left:
        state += f", about {text.duration(job.seconds_left)} left"
    counts = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in job.files_by_state.items())
    text.say(console, f"{job.id}: {text.printable(job.title)}")
    text.say(console, f"  {state}; {text.count(job.files_total, 'file')}, {text.size(job.size)}: {counts}")
    if job.error:
        text.say(console, f"  {text.printable(job.error)}")
    for file in failed[:MOST_LISTED]:
        text.say(console, f"  {text.printable(file.path)}: {text.printable(file.error)}")
    if len(failed) > MOST_LISTED:
        text.say(console, f"  and {text.count(len(failed) - MOST_LISTED, 'other failed file')} (--json lists all)")


def nothing(progress: Progress, paths: Sequence[Path]) -> list[str]:
    """What to say if there was nothing to do."""
    where = ", ".join(text.path(path) for path in paths)
    others = f" ({text.count(progress.ignored, 'other file')} there)" if progress.ignored else ""
    return [f"Nothing to transcribe: there is no audio or video in {where}{others}."]


def interrupted(progress: Progress) -> list[str]:
    """What to say after Ctrl-C."""
    if not progress.ids:
        return ["Stopped; no job was created."]
    return ["Stopped before all files were sent." if progress.is_sending else "Stopped following; the server goes on."]


def broken_off(error: TranscribeError) -> list[str]:
    """What to say after an error that ended the run."""
    lines = str(error).splitlines()
    if isinstance(error, Refused) and error.fields:
        lines = [f"{_option(field)} {message}." for field, message in error.fields]
    return [f"Error: {text.printable(line)}" for line in lines]


def _option(field: str) -> str:
    """What the user knows a field of the request as."""
    name = field.removeprefix("options.")
    return field if name == field else f"--{OPTIONS.get(name, name)}"


def unfinished(console: Console, ids: Sequence[str], context: click.Context) -> None:
    """Says how to come back to the jobs that were not followed to their ends."""
    if ids:
        text.say(console, f"To come back to {'it' if len(ids) == 1 else 'them'}:")
        text.verbatim(console, "", f"  {_command(context, ids)}", "")


def _tell(console: Console, result: Result) -> None:
    path = result.transcripts.get("txt")
    if path and result.audio_seconds <= SHORT_SECONDS:
        text.say(console, "", *map(text.printable, path.read_text(encoding="utf-8").splitlines()))


def _command(context: click.Context, ids: Iterable[str]) -> str:
    """The present command line, with which these jobs are continued. A token in it is not shown."""
    words = ["transcribe"]
    for id in ids:
        words += ["--job", id]
    paths: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        value = context.params.get(name)
        if context.get_parameter_source(name) != ParameterSource.COMMANDLINE or name == "jobs":
            continue
        if name == "token":
            words += ["--token", '"$TRANSCRIBE_TOKEN"']
        elif name == "paths":
            paths = [str(path) for path in context.params[name]]
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            words.append((parameter.opts if value else parameter.secondary_opts)[-1])
        else:
            words += [parameter.opts[-1], _quoted(",".join(value) if isinstance(value, tuple) else str(value))]
    separator = ["--"] if any(path.startswith("-") for path in paths) else []
    return " ".join([*words, *separator, *map(_quoted, paths)])


def _quoted(word: str) -> str:
    """A word as the shell takes it."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + text.printable(word.replace("\\", "\\\\").replace("'", "\\'")) + "'"
