"""`transcribe list`, `status`, `download`, `cancel`, `retry`, `delete`: jobs that the service has."""

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.console import Console

from client import completion, report, scripts, text
from client.api import Client
from client.connecting import EXIT_CODES, FAILED, Command, connected
from client.errors import Refused
from client.models import File, Result, Summary

FOLDER = click.Path(file_okay=False, path_type=Path)
EPILOG = EXIT_CODES.format("something could not be done for some job")

of_jobs = click.argument("ids", nargs=-1, required=True, metavar="JOB...", shell_complete=completion.job_ids)
of_json = click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each job, and nothing else.")


def command(name: str) -> Callable[[Command], click.Command]:
    return click.command(name, epilog=EPILOG)


@command("list")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@of_json
@connected
def list_jobs(client: Client, messages: Console, limit: int, as_json: bool) -> int:
    """List your jobs, the newest first."""
    jobs = list(itertools.islice(client.jobs(), limit + 1))
    if as_json:
        for job in jobs[:limit]:
            scripts.say(scripts.job(job))
    else:
        report.table(Console(), jobs[:limit])
        if len(jobs) > limit:
            text.say(messages, f"There are older ones: --limit {10 * limit} lists more.")
    return 0


@command("status")
@of_jobs
@of_json
@connected
def status(client: Client, messages: Console, ids: Sequence[str], as_json: bool) -> int:
    """Tell how jobs are, and why files of theirs failed."""

    def tell(id: str) -> None:
        job = client.summary(id)
        failed: Sequence[File] = list(client.files(id, state="failed")) if "failed" in job.files_by_state else ()
        if as_json:
            scripts.say({**scripts.job(job), "failed": scripts.failures(failed)})
        else:
            report.status(Console(), job, failed)

    return _each(ids, tell, messages)


@command("download")
@of_jobs
@click.option("-o", "--output", type=FOLDER, metavar="DIR", help="Folder for the transcripts; else the current one.")
@click.option(
    "--force/--skip-existing", default=False, help="Overwrite transcripts that are there; else they are kept."
)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each file, and nothing else.")
@connected
def download(
    client: Client, messages: Console, ids: Sequence[str], output: Path | None, force: bool, as_json: bool
) -> int:
    """Fetch the transcripts that there are by now.

    They are written as the tree that was sent. To wait for all of a job: transcribe --job JOB.
    """
    began = time.monotonic()
    there: list[str] = []
    results: list[Result] = []
    code = _each(ids, lambda id: there.append(client.summary(id).id), messages)
    for result in client.fetch(there, output=output, force=force):
        results.append(result)
        if as_json:
            scripts.say(scripts.result(result))
    if not as_json:
        report.done(Console(), results, output or Path(), time.monotonic() - began, "Downloaded")
        report.failed(messages, results)
    return FAILED if any(result.error for result in results) else code


@command("cancel")
@of_jobs
@of_json
@connected
def cancel(client: Client, messages: Console, ids: Sequence[str], as_json: bool) -> int:
    """Stop jobs; transcripts that are finished stay."""

    def stop(id: str) -> None:
        _tell(client.cancel(id), as_json, "Cancelled {}.")

    return _each(ids, stop, messages)


@command("retry")
@of_jobs
@of_json
@connected
def retry(client: Client, messages: Console, ids: Sequence[str], as_json: bool) -> int:
    """Have another go at what failed or was cancelled."""

    def again(id: str) -> None:
        job = client.retry(id)
        awaited = job.files_by_state.get("awaiting_upload", 0)
        send = f" It awaits {text.count(awaited, 'file')}: transcribe --job {job.id} PATH..." if awaited else ""
        _tell(job, as_json, "Retrying {}." + send)

    return _each(ids, again, messages)


@command("delete")
@of_jobs
@of_json
@click.option("-y", "--yes", is_flag=True, help="Do not ask first.")
@connected
def delete(client: Client, messages: Console, ids: Sequence[str], as_json: bool, yes: bool) -> int:
    """Delete jobs for good.

    Nothing that the service has of them is left. Transcripts that were fetched stay where they are.
    """
    if not yes:
        click.confirm(f"Delete {text.count(len(ids), 'job')} for good?", abort=True, err=True)

    def remove(id: str) -> None:
        client.delete(id)
        if as_json:
            scripts.say({"id": id, "state": "deleted"})
        else:
            text.say(Console(), f"Deleted {text.printable(id)}.")

    return _each(ids, remove, messages)


COMMANDS = (list_jobs, status, download, cancel, retry, delete)


def _tell(job: Summary, as_json: bool, said: str) -> None:
    if as_json:
        scripts.say(scripts.job(job))
    else:
        text.say(Console(), said.format(job.id))


def _each(ids: Sequence[str], action: Callable[[str], None], messages: Console) -> int:
    """Does it for each job, also after one that the server refuses; returns the exit code."""
    code = 0
    for id in ids:
        try:
            action(id)
        except Refused as error:
            text.say(messages, f"Error: {text.printable(id)}: {text.printable(error)}")
            code = FAILED
    return code
