"""What all commands have in common: how they reach the server, their exit codes, how they say what went wrong."""

import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from client import report, text
from client.api import Client
from client.errors import Foreign, NotAuthorized, Refused, TranscribeError, Unreachable

# How long a server that has answered before may be away, in seconds: restarts and most network troubles take less.
PATIENCE = 120
FAILED, USAGE, UNUSABLE, INTERRUPTED = 1, 2, 3, 130
# What the token is not good for, and so no other command would mend.
OF_THE_TOKEN = (HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN)

MISSING = "No {0} is given: set TRANSCRIBE_{1} or --{0}. `make serve` prints both server and token."
EXIT_CODES = """
\b
Exit codes:
  0    all is well
  1    {}
  2    the command or an option is wrong
  3    the server can't be reached, or refuses the token or what goes beyond its limits
  130  ended by Ctrl-C
"""

Command = Callable[..., Any]


def server_options(command: Command) -> Command:
    """Adds the options that `connect` takes."""
    certificates = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option("--ca-file", envvar="TRANSCRIBE_CA_FILE", show_envvar=True, metavar="FILE", type=certificates,
            help="Certificates (PEM) to trust beside the usual: the server's own, or its authority's."),
        click.option("--token", envvar="TRANSCRIBE_TOKEN", show_envvar=True, metavar="TOKEN",
            help="Token for the server."),
        click.option("--server", envvar="TRANSCRIBE_SERVER", show_envvar=True, metavar="URL",
            help="The server's address."),
    ):  # fmt: skip
        command = option(command)
    return command


def connect(
    server: str | None,
    token: str | None,
    ca_file: Path | None,
    note: Callable[[str], None],
    patience: float | None = None,
) -> Client:
    """A client of so much patience, or the usual. Raises UsageError."""
    if not server or not token:
        missing = "token" if server else "server"
        raise misused(MISSING.format(missing, missing.upper()))
    try:
        return Client(server, token, patience=PATIENCE if patience is None else patience, note=note, ca_file=ca_file)
    except TranscribeError as error:
        raise misused(str(error)) from None


def connected(command: Command) -> Command:
    """A command whose first arguments are the client, and the console for messages; its result is the exit code."""

    @server_options
    @click.pass_context
    @functools.wraps(command)
    def wrapped(
        context: click.Context, /, server: str | None, token: str | None, ca_file: Path | None, **given: Any
    ) -> None:
        messages = Console(stderr=True)

        def note(message: str) -> None:
            text.say(messages, text.printable(message))

        try:
            with connect(server, token, ca_file, note) as client:
                code = command(client, messages, **given)
        except KeyboardInterrupt:
            code = INTERRUPTED
        except click.Abort as aborted:
            # click's word for a question that was answered by no, by the end of the input or by Ctrl-C.
            if not isinstance(aborted.__context__, KeyboardInterrupt):
                raise
            click.echo(err=True)
            code = INTERRUPTED
        except TranscribeError as error:
            text.say(messages, *report.broken_off(error))
            code = exit_code(error)
        context.exit(code)

    return wrapped


def misused(message: str) -> click.UsageError:
    console = Console(stderr=True)
    prefix = "Error: "  # which click will put before it
    lines = text.wrapped(prefix + message, console.width) if console.is_terminal else [prefix + message]
    return click.UsageError("\n".join(lines).removeprefix(prefix))


def exit_code(error: TranscribeError) -> int:
    if isinstance(error, Refused):
        wrong = error.status < HTTPStatus.INTERNAL_SERVER_ERROR and error.status not in OF_THE_TOKEN
        return USAGE if wrong else UNUSABLE
    return UNUSABLE if isinstance(error, Foreign | NotAuthorized | Unreachable) else FAILED


@contextmanager
def interruptible(console: Console) -> Iterator[None]:
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
