"""`transcribe`: sends files and folders, and brings their transcripts back."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from client import report, text
from client.api import Client
from client.errors import Foreign, NotAuthorized, Refused, TranscribeError, Unreachable
from client.models import FORMATS, Result
from client.progress import Bars, Lines

FOLDER = click.Path(file_okay=False, path_type=Path)

# How long a server that has answered before may be away, in seconds: restarts and most network troubles take less.
PATIENCE = 120
FAILED, USAGE, UNUSABLE, INTERRUPTED = 1, 2, 3, 130

MISSING = "No {0} is given: set TRANSCRIBE_{1} or --{0}. `make serve` prints both server and token."

EPILOG = """
Transcripts are written beside their sources, or as the same tree below --output. Files below a folder are told by
their suffix (mp4, mkv, mp3, wav and many more), and hidden ones are left out; a file named itself is always sent.
If several paths are given, the tree begins with the names of those that are folders.

lectures/talk.mp3 becomes talk.txt; if there is another talk in the folder, such as talk.aac, they become talk.mp3.txt
and talk.aac.txt, except that a talk.txt from when there was just one of them stays with that one.

A transcript that is there already is kept, and a file that has them all is skipped, unless --force is given.

After a crash, a kill or a network that was away for too long, the same command goes on where the earlier run was: what
has arrived is not sent again, not even the parts of a large file. (Files or options that changed make a new job.)

Ctrl-C leaves the job at the server and prints the command that comes back to it; a second Ctrl-C ends at once.

\b
Exit codes:
  0    all is well
  1    some file has no transcript, or nothing was found
  2    the command or an option is wrong
  3    the server can't be reached, or refuses the token
  130  ended by Ctrl-C
"""


def _formats(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[str, ...]:
    formats = tuple(dict.fromkeys(part.strip().lower() for value in values for part in value.split(",")))
    wrong = [format for format in formats if format not in FORMATS]
    if wrong:
        raise click.BadParameter(f"{wrong[0]!r} is not one of {', '.join(FORMATS)}.")
    return formats


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("paths", nargs=-1, metavar="PATH...", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", type=FOLDER, metavar="DIR", help="Folder for the transcripts.")
@click.option("-f", "--format", "formats", multiple=True, default=["txt,srt"], show_default=True, metavar="LIST",
    callback=_formats,
    help=f"Formats of the transcripts, of {', '.join(FORMATS)}.")  # fmt: skip
@click.option("--language", default="auto", show_default=True, metavar="CODE", help="Language spoken, such as en.")
@click.option("--task", type=click.Choice(["transcribe", "translate"]), default="transcribe", show_default=True,
    help="Translate is into English.")  # fmt: skip
@click.option("--model", metavar="NAME", help="Model; else the server's default.")
@click.option("--prompt", default="", metavar="TEXT", help="Names and terms that occur, to have them spelled right.")
@click.option("--force", is_flag=True, help="Transcribe again, and overwrite transcripts that are there.")
@click.option("--server", envvar="TRANSCRIBE_SERVER", metavar="URL", show_envvar=True, help="The server's address.")
@click.option("--token", envvar="TRANSCRIBE_TOKEN", metavar="TOKEN", show_envvar=True, help="Token for the server.")
@click.option("--job", "jobs", multiple=True, metavar="ID", help="Come back to a job; PATHs send what it still awaits.")
@click.pass_context
def main(
    context: click.Context, /, paths: tuple[Path, ...], server: str | None, token: str | None, **given: Any
) -> None:
    """Transcribe audio and video: files, and all that is in folders.

    \b
    transcribe lectures                      lectures/week1/intro.mp4 -> lectures/week1/intro.txt and .srt
    transcribe lectures -o text -f vtt       lectures/week1/intro.mp4 -> text/week1/intro.vtt
    transcribe --job ID -o text              fetch what was begun earlier, from anywhere
    """
    if not paths and not given["jobs"]:
        raise _misused("Name files or folders to transcribe, or a job to come back to (--job ID).")
    if not server or not token:
        missing = "token" if server else "server"
        raise _misused(MISSING.format(missing, missing.upper()))
    messages = Console(stderr=True)
    progress = (Bars if messages.is_interactive else Lines)(messages)
    try:
        client = Client(server, token, patience=PATIENCE, note=progress.note)
    except TranscribeError as error:
        raise _misused(str(error)) from None
    began = time.monotonic()
    results: list[Result] = []
    try:
        incoming = client.transcribe(paths, watcher=progress, **given)
        with _interruptible(messages), progress, client, closing(incoming):
            results.extend(incoming)
    except KeyboardInterrupt:
        ended, code, unfinished = report.interrupted(progress), INTERRUPTED, progress.ids
    except TranscribeError as error:
        ended, code, unfinished = report.broken_off(error), _code(error), progress.ids
    else:
        ended, unfinished = [] if results else report.nothing(progress, paths), ()
        code = FAILED if not results or any(result.error for result in results) else 0
    report.done(Console(), results, given["output"], time.monotonic() - began)
    report.failed(messages, results)
    text.say(messages, *ended)
    report.unfinished(messages, unfinished, context)
    context.exit(code)


def _misused(message: str) -> click.UsageError:
    console = Console(stderr=True)
    prefix = "Error: "  # which click will put before it
    lines = text.wrapped(prefix + message, console.width) if console.is_terminal else [prefix + message]
    return click.UsageError("\n".join(lines).removeprefix(prefix))


def _code(error: TranscribeError) -> int:
    if isinstance(error, Refused):
        return USAGE if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else UNUSABLE
    return UNUSABLE if isinstance(error, Foreign | NotAuthorized | Unreachable) else FAILED


@contextmanager
def _interruptible(console: Console) -> Iterator[None]:
    """Lets a first Ctrl-C raise KeyboardInterrupt, and a second end the program on the spot."""

    def end(*_: object) -> NoReturn:
        console.show_cursor(True)
        os._exit(INTERRUPTED)

    def interrupt(*_: object) -> NoReturn:
        signal.signal(signal.SIGINT, end)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    main(prog_name="transcribe")
