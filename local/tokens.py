"""`transcriber tokens`: makes, lists and revokes the tokens of a data folder, or of a stage on AWS."""

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from chalicelib import tokens as use_cases
from chalicelib.access import Limits, NewToken, Scope
from chalicelib.errors import Problem
from chalicelib.ports import Records
from chalicelib.validation import not_valid
from local.records import DATABASE, SQLiteRecords
from local.schema import NewerRecords

Command = Callable[..., None]


def _where(command: Command) -> Command:
    """Gives a command the records that its options name, and tells people what went wrong."""

    @click.option(
        "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True, help="The service's folder."
    )
    @click.option("--stage", help="The stage on AWS, in place of a folder.")
    @functools.wraps(command)
    def located(data: Path, stage: str | None, **options: Any) -> None:
        try:
            command(_local(data) if stage is None else _deployed(stage), **options)
        except Problem as problem:
            raise click.ClickException(problem.detail) from None

    return located


def _local(data: Path) -> Records:
    database = data / DATABASE
    if not database.is_file():
        raise click.ClickException(
            f"There is no service in {data}. Start one there first, or name another with --data."
        )
    try:
        return SQLiteRecords(database)
    except NewerRecords as error:
        raise click.ClickException(str(error)) from None


def _deployed(stage: str) -> Records:
    try:
        from botocore.exceptions import BotoCoreError, ClientError

        from chalicelib.aws.records import DynamoRecords
        from deploy.context import Context
        from deploy.settings import DeployError
    except ImportError:
        raise click.ClickException("The tools for AWS are not installed: make .venv/.dev") from None
    context = Context(stage)
    try:
        return DynamoRecords(context.session.client("dynamodb"), context.outputs["Table"])
    except DeployError as error:
        raise click.ClickException(str(error)) from None
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"AWS says: {error}") from None


@click.group()
def tokens() -> None:
    """Make, list and revoke the tokens that users and programs send."""


@tokens.command()
@click.option("--owner", required=True, help="Whose jobs it makes and sees.")
@click.option("--name", default="", help="What it is for, to be told from others.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    help="What it allows; may be given again.  [default: read, write]",
)
@click.option("--days", type=int, help="Days that it is valid; for ever if not told.")
@click.option("--requests-per-minute", type=int, help="Requests that it may make a minute.")
@click.option("--audio-hours-per-month", type=float, help="Hours of audio that it may have transcribed a month.")
@click.option("--dollars-per-month", type=float, help="US dollars that its jobs may cost a month.")
@click.option("--largest-file", type=int, help="Bytes of the largest file.")
@click.option("--files-per-job", type=int, help="Files of one job.")
@click.option("--webhook", help="https:// URL that is told of the end of its jobs.")
@click.option("--json", "as_json", is_flag=True, help="Print all about it as JSON.")
@_where
def create(
    records: Records,
    owner: str,
    name: str,
    scopes: tuple[str, ...],
    days: int | None,
    webhook: str | None,
    as_json: bool,
    **limits: float | None,
) -> None:
    """Make a token and print it: its only copy."""
    told = {"scopes": list(scopes)} if scopes else {}
    try:
        limited = Limits.model_validate(limits)
        new = NewToken.model_validate(
            {"owner": owner, "name": name, "days": days, "webhook": webhook, "limits": limited, **told}
        )
    except ValidationError as error:
        raise not_valid(error) from None
    now = time.time()
    created = use_cases.create(records, new, now)
    if as_json:
        click.echo(json.dumps(use_cases.shown(created, now), indent=2))
        return
    click.echo(created.secret)
    sys.stdout.flush()
    click.echo(f"Webhooks of its jobs are signed with {created.token.webhook_secret}", err=True)


@tokens.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print all about them as JSON.")
@_where
def list_tokens(records: Records, as_json: bool) -> None:
    """Show the tokens, and what each has used this month."""
    listed = use_cases.every(records, time.time())
    if as_json:
        click.echo(json.dumps(listed, indent=2))
        return
    table = Table(box=None)
    for header in ("id", "owner", "name", "scopes", "expires", "last used", "hours", "dollars"):
        table.add_column(header, no_wrap=header not in ("owner", "name", "scopes"))
    for token in listed["tokens"]:
        used = token["used_this_month"]
        table.add_row(
            token["id"],
            token["owner"],
            token["name"],
            " ".join(token["scopes"]),
            "expired" if token["expired"] else _day(token["expires_at"]),
            _day(token["last_used_at"]),
            f"{used['audio_hours']:.2f}",
            f"{used['dollars']:.2f}",
        )
    Console().print(table)


@tokens.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@_where
def revoke(records: Records, ids: tuple[str, ...]) -> None:
    """Revoke tokens by their ids. On AWS that takes effect within a minute."""
    for id in ids:
        use_cases.revoke(records, id)


def _day(time: str | None) -> str:
    return time[:10] if time else ""
