"""`python -m deploy --stage dev COMMAND`: what the Makefile's targets do."""

import sys
import time
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError

from container.downloads import FetchError
from deploy import api, data, emulator, image, index, logs, stack
from deploy.context import Context
from deploy.settings import DeployError

EMULATOR = Path(".cache", "emulator")


commands = click.make_pass_decorator(Context)


@click.group()
@click.option("--stage", default="dev", show_default=True)
@click.pass_context
def main(context: click.Context, stage: str) -> None:
    """Deploy the service to AWS."""
    context.obj = Context(stage)


@main.command("image")
@commands
def build_image(context: Context) -> None:
    """Build the image."""
    tag = image.build(context.unplaced)
    click.echo(f"{tag}: {image.size(tag) / 1e6:.0f} MB")
    for name, size in image.parts(tag):
        click.echo(f"{size / 1e6:8.0f} MB  {name}")


@main.command("ecr-repo")
@commands
def ecr_repo(context: Context) -> None:
    """Make the repository of images unless it is there."""
    image.make_repository(context.deployment, context.session.client("ecr"))


@main.command("ecr-login")
@commands
def ecr_login(context: Context) -> None:
    """Log docker or podman into the repository."""
    image.login(context.deployment, context.session.client("ecr"))


@main.command("ecr-push")
@commands
def ecr_push(context: Context) -> None:
    """Push the image unless it is there."""
    click.echo(image.push(context.deployment, context.session.client("ecr")))


@main.command("stack")
@click.option("--keep-image", is_flag=True, help="Change settings alone, with the image that is deployed.")
@commands
def deploy_stack(context: Context, keep_image: bool) -> None:
    """Make or change the stack."""
    deployment, cloudformation = context.deployment, context.session.client("cloudformation")
    if keep_image:
        deployed = stack.parameters(cloudformation, deployment.stack)
        uri, deployment = deployed["ImageUri"], deployment.with_image_of(deployed)
    else:
        uri = image.push(deployment, context.session.client("ecr"))
    limits = context.session.client("lambda").get_account_settings()["AccountLimit"]
    parameters = deployment.parameters(stack.parsed(stack.template()), uri, limits["ConcurrentExecutions"])
    for name, value in stack.deploy(cloudformation, deployment.stack, parameters).items():
        click.echo(f"{name}: {value}")


@main.command("api")
@commands
def deploy_api(context: Context) -> None:
    """Deploy the API and the event handlers."""
    url = api.deploy(context.stage, context.outputs, context.session.client("s3"))
    click.echo(
        f"\nexport TRANSCRIBE_SERVER={url}\nA token for somebody: make token STAGE={context.stage} OWNER=somebody"
    )


@main.command("logs")
@click.option("--minutes", default=60, show_default=True)
@commands
def show_logs(context: Context, minutes: int) -> None:
    """Print what all functions of the stage have logged lately."""
    for line in logs.lines(context.session.client("logs"), context.stage, time.time() - 60 * minutes):
        click.echo(line)


@main.command("reindex")
@commands
def reindex(context: Context) -> None:
    """Make what transcripts are searched by anew, from all transcripts."""
    for owner, count in index.rebuilt(context.session, context.outputs):
        click.echo(f"{owner}: {count} transcripts")


@main.command("destroy")
@click.option("--data", "with_data", is_flag=True, help="Delete media, transcripts and records as well.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@commands
def destroy(context: Context, with_data: bool, yes: bool) -> None:
    """Take the API, the stack and the images away; the data stays unless told."""
    deployment, session = context.deployment, context.session
    cloudformation = session.client("cloudformation")
    # Nothing, if a stack could not be made, or an earlier call has taken it away.
    outputs = stack.found(cloudformation, deployment.stack)
    named = outputs or deployment.data
    doomed = ", ".join(named[name] for name in deployment.data)
    what = f"and DELETE ALL THAT IS IN {doomed}" if with_data else "and keep its data"
    if not yes:
        click.confirm(f"Destroy {deployment.stack} in {deployment.account}, {deployment.region}, {what}?", abort=True)
    if outputs:
        api.delete(context.stage, outputs, session.client("s3"))
    stack.destroy(cloudformation, deployment.stack)
    data.delete_repository(session, deployment.repository)
    logs.delete(session.client("logs"), context.stage)
    if with_data:
        data.delete(session, named)


@main.command("run-image")
@click.option("--port", default=9000, show_default=True)
@commands
def run_image(context: Context, port: int) -> None:
    """Serve the image in Lambda's emulator, as confined as on Lambda: read-only, with limited memory."""
    image.run(context.unplaced, port)


@main.command("install-emulator")
def install_emulator() -> None:
    """Fetch Lambda's emulator, to run the function without a container."""
    click.echo(emulator.install(EMULATOR))


if __name__ == "__main__":
    try:
        main()
    except (DeployError, FetchError, RuntimeError) as error:
        sys.exit(str(error))
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"AWS says: {error}")
