"""`transcribe`: sends files and folders, and brings their transcripts back."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem
from rich.console import Console

from client import completion, languages, report, scripts, text
from client.api import Client
from client.arriving import SETTLED_SECONDS
from client.connecting import (
    EXIT_CODES,
    FAILED,
    INTERRUPTED,
    connect,
    exit_code,
    interruptible,
    misused,
    server_options,
)
from client.errors import TranscribeError
from client.jobs_cli import COMMANDS, FOLDER
from client.models import FORMATS, Result
from client.progress import Bars, Lines, Notes

WATCHED = click.Path(exists=True, file_okay=False, path_type=Path)
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

EPILOG = f"""
Transcripts are written beside their sources, or as the same tree below --output. Files below a folder are told by
their suffix (mp4, mkv, mp3, wav and many more), and hidden ones are left out; a file named itself is always sent.
If several paths are given, the tree begins with the names of those that are folders. A path that is called like a
command is written ./list.

lectures/talk.mp3 becomes talk.txt; if there is another talk in the folder, such as talk.aac, they become talk.mp3.txt
and talk.aac.txt, except that a talk.txt from when there was just one of them stays with that one.

A transcript that is there already is kept, and a file that has them all is skipped, unless --force is given.

After a crash, a kill or a network that was away for too long, the same command goes on where the earlier run was: what
has arrived is not sent again, not even the parts of a large file. (Files or options that changed make a new job.)
While a run is at the same files, another waits for it.

With --watch a file is sent when it has not changed for {SETTLED_SECONDS:.0f} seconds. Server and network may go away
for as long as they like. A file that failed is sent again when it changes, or when the command is started again.

Ctrl-C leaves the job at the server and prints the command that comes back to it; a second Ctrl-C ends at once.

Languages, by name or by code: {languages.listed()}.

{EXIT_CODES.format("some file has no transcript, or nothing was found")}"""


class Sending(click.Command):
    """The command that needs no name. Its help names the others."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(context, formatter)
        main.format_commands(context, formatter)


class Transcribe(click.Group):
    """Commands, and what is done where none of them is the first word."""

    def __init__(self, sending: click.Command, commands: Sequence[click.Command]) -> None:
        super().__init__(commands=commands, context_settings=SETTINGS)
        self._sending = sending

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in self.commands:
            return super().make_context(info_name, args, parent, **extra)
        return self._sending.make_context(info_name, args, parent, **extra)

    def invoke(self, context: click.Context) -> Any:
        return super().invoke(context) if context.command is self else context.command.invoke(context)


def _formats(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    formats = tuple(dict.fromkeys(part.strip().lower() for value in values for part in value.split(",")))
    wrong = [format for format in formats if format not in FORMATS]
    if wrong:
        raise click.BadParameter(f"{wrong[0]!r} is not one of {', '.join(FORMATS)}.")
    return formats


def _language(_: click.Context, __: click.Parameter, value: str) -> str:
    try:
        return languages.code(value)
    except ValueError as error:
        raise click.BadParameter(f"{error} 'transcribe --help' lists all.") from None


def _paths(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files; and commands, where the first word is to be completed."""
    files = [CompletionItem(incomplete, type="file")]
    if any(context.get_parameter_source(name) == ParameterSource.COMMANDLINE for name in context.params):
        return files
    names = [(name, command) for name, command in main.commands.items() if name.startswith(incomplete)]
    return files + [CompletionItem(name, help=command.get_short_help_str()) for name, command in names]


@click.command(cls=Sending, epilog=EPILOG, context_settings=SETTINGS)
@click.argument("paths", nargs=-1, metavar="PATH...", type=click.Path(exists=True, path_type=Path),
    shell_complete=_paths)  # fmt: skip
@click.option("-o", "--output", type=FOLDER, metavar="DIR", help="Folder for the transcripts.")
@click.option("-f", "--format", "formats", multiple=True, default=["txt,srt"], show_default=True, metavar="LIST",
    callback=_formats, shell_complete=completion.formats,
    help=f"Formats of the transcripts, of {', '.join(FORMATS)}.")  # fmt: skip
@click.option("--language", default="auto", show_default=True, metavar="NAME", callback=_language,
    shell_complete=completion.languages, help="Language spoken, such as German or de.")  # fmt: skip
@click.option("--task", type=click.Choice(["transcribe", "translate"]), default="transcribe", show_default=True,
    help="Translate is into English.")  # fmt: skip
@click.option("--model", metavar="NAME", shell_complete=completion.models, help="Model; else the server's default.")
@click.option("--prompt", default="", metavar="TEXT", help="Names and terms that occur, to have them spelled right.")
@click.option("--diarize", is_flag=True, help="Tell speakers apart by their voices.")
@click.option("--channels", type=click.Choice(["mix", "split"]), default="mix", show_default=True,
    help="Split: each channel is a speaker.")  # fmt: skip
@click.option("--force/--skip-existing", default=False,
    help="Transcribe again, and overwrite transcripts that are there; else they are kept.")  # fmt: skip
@click.option("--job", "jobs", multiple=True, metavar="ID", shell_complete=completion.job_ids,
    help="Come back to a job; PATHs send what it still awaits.")  # fmt: skip
@click.option("--watch", type=WATCHED, metavar="FOLDER",
    help="Transcribe what is and what comes there, until Ctrl-C.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each file, and nothing else.")
@click.version_option(package_name="transcribe-service", message="%(prog)s %(version)s")
@server_options
@click.pass_context
def transcribe(
    context: click.Context,
    /,
    paths: tuple[Path, ...],
    server: str | None,
    token: str | None,
    ca_file: Path | None,
    watch: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Transcribe audio and video: files, and all that is in folders.

    \b
    transcribe lectures                      lectures/week1/intro.mp4 -> lectures/week1/intro.txt and .srt
    transcribe lectures -o text -f vtt       lectures/week1/intro.mp4 -> text/week1/intro.vtt
    transcribe --job ID -o text              fetch what was begun earlier, from anywhere
    transcribe --watch inbox                 what is in inbox, and whatever comes into it
    transcribe status ID                     a command, of those below
    """
    messages = Console(stderr=True)
    if watch is not None:
        if paths or given.pop("jobs") or given.pop("force"):
            raise misused("With --watch FOLDER neither other paths nor --job nor --force can be given.")
        notes = Notes(messages)
        with connect(server, token, ca_file, notes.note, math.inf) as client:
            context.exit(_watch(client, watch, messages, notes, as_json, given))
    if not paths and not given["jobs"]:
        raise misused("Name files or folders to transcribe, or a job to come back to (--job ID).")
    progress = (Bars if messages.is_interactive else Lines)(messages)
    client = connect(server, token, ca_file, progress.note)
    began = time.monotonic()
    results: list[Result] = []
    try:
        incoming = client.transcribe(paths, watcher=progress, **given)
        with interruptible(messages), progress, client, closing(incoming):
            for result in incoming:
                results.append(result)
                if as_json:
                    scripts.say(scripts.result(result))
    except KeyboardInterrupt:
        ended, code, unfinished = report.interrupted(progress), INTERRUPTED, progress.ids
    except TranscribeError as error:
        ended, code, unfinished = report.broken_off(error), exit_code(error), progress.ids
    else:
        ended, unfinished = [] if results else report.nothing(progress, paths), ()
        code = FAILED if not results or any(result.error for result in results) else 0
    if not as_json:
        report.done(Console(), results, given["output"], time.monotonic() - began)
        report.failed(messages, results)
    text.say(messages, *ended)
    report.unfinished(messages, unfinished, context)
    context.exit(code)


def _watch(
    client: Client, folder: Path, messages: Console, notes: Notes, as_json: bool, given: Mapping[str, Any]
) -> int:
    """Says what becomes of the files of a folder; returns the exit code when that has come to an end."""
    notes.note(f"Watching {text.path(folder)}. Ctrl-C ends it; the same command goes on.")
    try:
        with interruptible(messages), closing(client.watch(folder, watcher=notes, **given)) as incoming:
            for result in incoming:
                if as_json:
                    scripts.say(scripts.result(result))
                else:
                    report.arrived(Console(), messages, result)
    except KeyboardInterrupt:
        return INTERRUPTED
    except TranscribeError as error:
        text.say(messages, *report.broken_off(error))
        return exit_code(error)
    return 0


main = Transcribe(transcribe, COMMANDS)

if __name__ == "__main__":
    main(prog_name="transcribe")
