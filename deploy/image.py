"""The image: built by docker or podman, kept in ECR, named by its digest."""

import base64
import json
import os
import shlex
import subprocess
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.settings import BATCH_SECONDS
from deploy.settings import DeployError, Deployment

NAME = "transcribe"
# Run in an image, says how many bytes there are in what was put into it.
PARTS = """
import os, pathlib
for folder in (os.environ["LAMBDA_TASK_ROOT"], os.environ["MODELS_DIR"]):
    for part in pathlib.Path(folder).iterdir():
        print(sum(file.lstat().st_size for file in (part, *part.rglob("*")) if file.is_file()), part)
"""
LARGE_BYTES = 5_000_000
KEPT_IMAGES = 10
LAMBDA_MAY_READ = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Lambda",
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }
    ],
}
EXPIRY = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "the newest",
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT_IMAGES},
            "action": {"type": "expire"},
        }
    ]
}


def engine() -> str:
    """docker or podman, whichever works. Raises DeployError."""
    for program in ("docker", "podman"):
        try:
            if subprocess.run([program, "info"], capture_output=True).returncode == 0:
                return program
        except FileNotFoundError:
            continue
    raise DeployError("Neither docker nor podman works here: install one of them, or start Docker.")


def build(deployment: Deployment) -> str:
    """Builds the image and returns its local name. `BUILD_OPTIONS` are more options for the engine."""
    tag = f"{NAME}:{deployment.stage}"
    _run(
        *(engine(), "build", "--file", "container/Dockerfile", "--tag", tag),
        *("--platform", f"linux/{'arm64' if deployment.architecture == 'arm64' else 'amd64'}"),
        *("--build-arg", f"MODELS={' '.join(deployment.models)}"),
        *shlex.split(deployment.settings.get("BUILD_OPTIONS", "")),
        ".",
    )
    return tag


def run(deployment: Deployment, port: int) -> None:
    """Becomes the image's container, which answers on `port`. `RUN_OPTIONS` replace the options that publish it."""
    told = deployment.settings
    variables = {
        "MEDIA_BUCKET": told.get("VIDEO_BUCKET", "media"),
        "TRANSCRIPTS_BUCKET": told.get("TRANSCRIPT_BUCKET", "transcripts"),
        "TABLE": told.get("TABLE", deployment.stack),
        "DEFAULT_MODEL": deployment.default_model,
        "BATCH_SECONDS": told.get("BATCH_SECONDS", f"{BATCH_SECONDS:.0f}"),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": told.get("TRANSCRIBE_MEMORY", "3008"),
        "POWERTOOLS_TRACE_DISABLED": "true",
        **{name: value for name, value in told.items() if name.startswith("AWS_") and name != "AWS_ACCT_ID"},
    }
    program = engine()
    command = [
        *(program, "run", "--rm", "--read-only", "--tmpfs", "/tmp:rw,size=512m"),  # noqa: S108 (the container's)
        *("--memory", f"{variables['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']}m"),
        *(option for name in variables for option in ("--env", name)),
        *shlex.split(told.get("RUN_OPTIONS", f"--publish 127.0.0.1:{port}:8080")),
        f"{NAME}:{deployment.stage}",
    ]
    os.execvpe(program, command, {**os.environ, **variables})  # noqa: S606


def size(tag: str) -> int:
    """Bytes of an image."""
    return int(_output(engine(), "image", "inspect", "--format", "{{.Size}}", tag))


def parts(tag: str) -> list[tuple[str, int]]:
    """What is large in an image, and its bytes, the largest first; `docs/operations.md` says why each is there."""
    listed = _output(engine(), "run", "--rm", "--entrypoint", "python3", tag, "-c", PARTS).splitlines()
    sizes = {path: int(bytes) for bytes, path in (line.split(" ", 1) for line in listed)}
    sizes["base image, rest"] = size(tag) - sum(bytes for bytes in sizes.values() if bytes >= LARGE_BYTES)
    large = ((path, bytes) for path, bytes in sizes.items() if bytes >= LARGE_BYTES)
    return sorted(large, key=lambda part: -part[1])


def make_repository(deployment: Deployment, ecr: Any) -> None:
    """Makes the repository unless it is there; `ecr` is boto3's client."""
    name = deployment.repository
    try:
        ecr.create_repository(repositoryName=name, imageScanningConfiguration={"scanOnPush": True})
    except ClientError as error:
        if error.response["Error"]["Code"] != "RepositoryAlreadyExistsException":
            raise
    ecr.set_repository_policy(repositoryName=name, policyText=json.dumps(LAMBDA_MAY_READ))
    ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=json.dumps(EXPIRY))


def login(deployment: Deployment, ecr: Any) -> None:
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    _run(engine(), "login", "--username", user, "--password-stdin", deployment.registry, input=password)


def push(deployment: Deployment, ecr: Any) -> str:
    """Pushes the stage's image, unless it is there, and returns its name by digest."""
    local = f"{NAME}:{deployment.stage}"
    tag = _output(engine(), "image", "inspect", "--format", "{{.Id}}", local).removeprefix("sha256:")[:16]
    if digest(deployment, ecr, tag) is None:
        remote = f"{deployment.registry}/{deployment.repository}:{tag}"
        _run(engine(), "tag", local, remote)
        _run(engine(), "push", remote)
    return f"{deployment.registry}/{deployment.repository}@{digest(deployment, ecr, tag)}"


def digest(deployment: Deployment, ecr: Any, tag: str) -> str | None:
    try:
        found = ecr.describe_images(repositoryName=deployment.repository, imageIds=[{"imageTag": tag}])
    except ClientError as error:
        if error.response["Error"]["Code"] == "ImageNotFoundException":
            return None
        raise
    known: str = found["imageDetails"][0]["imageDigest"]
    return known


def _run(*command: str, input: str | None = None) -> None:
    # Lambda takes a plain image, no index with attestations in it, which BuildKit makes unless told.
    plain = {**os.environ, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    if subprocess.run(command, input=input, text=True, env=plain).returncode:
        raise DeployError(f"This command failed, and said why above: {shlex.join(command)}")


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise DeployError(f"There is no image yet ({done.stderr.strip()}). Build it with: make image")
    return done.stdout.strip()
