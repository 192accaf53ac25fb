"""What the shell is told when a word of the command line is to be completed."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from itertools import islice
from typing import TypeVar

import click
from click.shell_completion import CompletionItem

from client.api import Client
from client.errors import TranscribeError
from client.languages import TAKEN
from client.models import FORMATS

T = TypeVar("T")
# Longer than that nobody waits for a word.
SECONDS = 1.5
MOST_JOBS = 50


def formats(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """The last of a list of formats."""
    before, comma, _last = incomplete.rpartition(",")
    taken = before.split(",")
    return _starting(incomplete, (f"{before}{comma}{format}" for format in FORMATS if format not in taken))


def languages(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    # bash would not quote one of two words; it has another name.
    return _starting(incomplete.lower(), sorted(name for name in TAKEN if " " not in name))


def models(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    return _starting(incomplete, _asked(context, lambda client: client.models()))


def job_ids(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Those of the latest jobs, with their names for shells that show them."""
    jobs = _asked(context, lambda client: list(islice(client.jobs(), MOST_JOBS)))
    taken = context.params.get("ids") or ()
    return [
        CompletionItem(job.id, help=f"{job.state} {job.title}")
        for job in jobs
        if job.id.startswith(incomplete) and job.id not in taken
    ]


def _starting(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _asked(context: click.Context, ask: Callable[[Client], list[T]]) -> list[T]:
    """What the server answers, if it does so soon; else nothing."""
    given = context.params
    if not given.get("server") or not given.get("token"):
        return []
    answer: Future[list[T]] = Future()

    def run() -> None:
        try:
            with Client(given["server"], given["token"], patience=0, ca_file=given.get("ca_file")) as client:
                answer.set_result(ask(client))
        except TranscribeError:
            answer.set_result([])

    threading.Thread(target=run, daemon=True).start()
    try:
        return answer.result(SECONDS)
    except TimeoutError:
        return []
