"""`transcriber`: runs and looks after the service on one machine."""

import difflib
import errno
import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table

from chalicelib.page import FOLDER
from container import catalogue, weights
from container.catalogue import ModelError
from local.tokens import tokens

CACHE = Path(".cache")
DEFAULT_MODEL = "tiny.en"

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def _folder(flag: str, default: Path, help: str) -> Option:
    kind = click.Path(file_okay=False, path_type=Path)
    return click.option(flag, type=kind, default=default, show_default=True, help=help)


models_option = _folder("--models", CACHE / "models", "Folder of the models.")
model_option = click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Model of jobs that name none.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="transcribe-service", message="%(prog)s %(version)s")
def main() -> None:
    """Run and look after the transcription service on this machine."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@_folder("--data", Path("data"), "Folder for everything that is stored.")
@models_option
@model_option
def serve(host: str, port: int, data: Path, models: Path, model: str) -> None:
    """Run the service until it is stopped (Ctrl-C)."""
    from local.server import application, serve
    from local.service import StartError, open_service

    _require_known(model, models)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    def announce(url: str) -> None:
        page = f"The web page: {url}/#token={token}" if (FOLDER / "index.html").exists() else "There is no web page."
        click.echo(f"export TRANSCRIBE_SERVER={url}\nexport TRANSCRIBE_TOKEN={token}")
        click.echo(f"Ready. Ctrl-C stops it; unfinished jobs go on at the next start.\n{page}", err=True)
        if "//localhost:" in url:  # it listens on all addresses
            click.echo("From other machines: the same with this machine's name or address for localhost.", err=True)
        sys.stdout.flush()

    try:
        with open_service(data, models, model) as local:
            token = local.token
            serve(application(local.service, local.objects), host, port, announce, local.service.stopping.set)
    except (StartError, ModelError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(_reason(error, host, port, data)) from None


def _require_known(name: str, models: Path, *others: str) -> None:
    """Raises ClickException unless there is such a Whisper model, installed or to be, or it is one of `others`."""
    known = tuple(dict.fromkeys((*catalogue.CATALOGUE, *catalogue.installed(models), *others)))
    if name not in known:
        alike = difflib.get_close_matches(name, known, n=1) or [one for one in known if name in one][:1]
        guess = f" Did you mean {alike[0]}?" if alike else ""
        raise click.ClickException(f"There is no model '{name}'.{guess} The models are {', '.join(known)}.")


def _reason(error: OSError, host: str, port: int, data: Path) -> str:
    """Why the service cannot start, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use. Stop what uses it, or take another one: make serve PORT={port + 1}"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine. Take 127.0.0.1, or 0.0.0.0 for all of them."
    if error.errno == errno.EACCES and error.filename is None:
        return f"Port {port} is for the system's own services. Take one above 1023: make serve PORT=8000"
    return f"The folder {data} cannot be used: {error.strerror}. Take another one: make serve DATA=..."


@main.command()
@click.argument("media", required=False, type=click.Path(path_type=Path))
@models_option
@model_option
@_folder("--output", Path("transcripts"), "Folder for the transcripts.")
def demo(media: Path | None, models: Path, model: str, output: Path) -> None:
    """Transcribe MEDIA, a file or folder, or else a short speech, with a service just for it."""
    from local import demo as demonstration

    if media is not None and not media.exists():
        raise click.ClickException(f"There is no file or folder {media}.")
    _require_known(model, models)
    try:
        exit_code = demonstration.run(media or demonstration.video(CACHE / "samples"), models, model, output)
    except demonstration.DemoError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(exit_code)


main.add_command(tokens)


@main.group("models")
def models_group() -> None:
    """List and install Whisper models."""


@models_group.command("list")
@models_option
def list_models(models: Path) -> None:
    """Show which models there are and which are installed."""
    there = set(catalogue.installed(models))
    table = Table("model", "languages", Column("to fetch", justify="right"), "installed", box=None)
    for name, known in catalogue.CATALOGUE.items():
        languages = "many" if known.multilingual else "English"
        table.add_row(name, languages, f"{known.mebibytes} MiB", "yes" if name in there else "")
    for name in sorted(there - catalogue.CATALOGUE.keys()):
        table.add_row(name, "many" if catalogue.is_multilingual(name, models) else "English", "", "yes")
    voices = catalogue.find(catalogue.VOICES, models)
    table.add_row(catalogue.VOICES, "any: tells voices apart", "", "yes" if voices else "")
    Console().print(table)


@models_group.command("install")
@click.argument("names", nargs=-1, required=True, metavar="MODEL...")
@models_option
def install_models(names: tuple[str, ...], models: Path) -> None:
    """Install models by name, with what the service needs besides; those that are there stay as they are."""
    console = Console(stderr=True)
    for name in names:
        _require_known(name, models, catalogue.VAD, catalogue.VOICES)
    try:
        for name in (catalogue.VAD, *names):
            _install(name, models, console)
    except ModelError as error:
        raise click.ClickException(str(error)) from None


def _install(name: str, models: Path, console: Console) -> None:
    if catalogue.find(name, models):
        return
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%")
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=1, visible=False)

        def report(message: str, share: float | None) -> None:
            if share is None:
                console.print(message, highlight=False, soft_wrap=True)
            else:
                progress.update(task, description=message, completed=share, visible=True)

        weights.install(name, models, report)


if __name__ == "__main__":
    main()
