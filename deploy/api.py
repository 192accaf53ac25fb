"""The API and the event handlers, deployed by Chalice from a project folder made for the stage."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from deploy.settings import DeployError, variable

PARTS = ("app.py", "chalicelib", "requirements.txt")
ROLES = {
    "object_created": "EventsRole",
    "folder_done": "EventsRole",
    "execution_ended": "EventsRole",
    "table_changed": "EventsRole",
    "webhook_due": "EventsRole",
    "catch_up": "EventsRole",
    "sweep": "SweepRole",
}
"""The handlers of events, and the outputs of the stack that name their roles."""
CAPACITY = ("TranscribeMemory", "MaxConcurrency", "BatchSeconds", "Architecture")
"""The stack's parameters that estimates follow from."""
STATE = "deployment/chalice.json"
"""Chalice's record of what it made, in the transcripts bucket: whoever deploys next, from wherever, goes on from it."""


def config(base: Mapping[str, Any], stage: str, outputs: Mapping[str, str]) -> dict[str, Any]:
    """Chalice's configuration: that of the repository and what the stack with these outputs has made.

    Raises DeployError if the repository's has no such stage.
    """
    if stage not in base["stages"]:
        raise DeployError(f"There is no stage {stage} in .chalice/config.json: there are {', '.join(base['stages'])}.")
    days = outputs["TranscriptDays"]
    variables = {
        "MEDIA_BUCKET": outputs["MediaBucket"],
        "TRANSCRIPTS_BUCKET": outputs["TranscriptsBucket"],
        "TABLE": outputs["Table"],
        "STATE_MACHINE_ARN": outputs["StateMachineArn"],
        "MODELS": outputs["Models"],
        "DEFAULT_MODEL": outputs["DefaultModel"],
        "TABLE_STREAM_ARN": outputs["TableStreamArn"],
        "WEBHOOKS_QUEUE_ARN": outputs["WebhooksQueueArn"],
        "WEBHOOKS_QUEUE_URL": outputs["WebhooksQueueUrl"],
        **{variable(name): outputs[name] for name in CAPACITY},
        **({"RETENTION_DAYS": days} if days != "0" else {}),
    }
    handlers = base["stages"][stage].get("lambda_functions", {})
    made = {
        "manage_iam_role": False,
        "iam_role_arn": outputs["ApiRole"],
        "log_retention_in_days": int(outputs["LogDays"]),
        "environment_variables": variables,
        "lambda_functions": {
            **handlers,
            **{name: {**handlers.get(name, {}), "iam_role_arn": outputs[role]} for name, role in ROLES.items()},
        },
    }
    return {**base, "stages": {stage: {**base["stages"][stage], **made}}}


def deploy(stage: str, outputs: Mapping[str, str], s3: Any) -> str:
    """Deploys the API over a stack with these outputs; its URL. `s3` is boto3's client. Raises DeployError."""
    project = _project(stage, outputs)
    state = project / ".chalice" / "deployed" / f"{stage}.json"
    _fetch_state(s3, outputs["TranscriptsBucket"], state)
    try:
        _chalice(project, "deploy", stage)
    finally:
        # Also a deployment that broke off has made things, and Chalice has noted them.
        if state.exists():
            s3.put_object(Bucket=outputs["TranscriptsBucket"], Key=STATE, Body=state.read_bytes())
    resources = json.loads(state.read_text())["resources"]
    url: str = next(resource["rest_api_url"] for resource in resources if "rest_api_url" in resource)
    return url.rstrip("/")


def delete(stage: str, outputs: Mapping[str, str], s3: Any) -> None:
    """Takes away what Chalice has made, if it has."""
    project = _project(stage, outputs)
    state = project / ".chalice" / "deployed" / f"{stage}.json"
    if _fetch_state(s3, outputs["TranscriptsBucket"], state):
        _chalice(project, "delete", stage)
        s3.delete_object(Bucket=outputs["TranscriptsBucket"], Key=STATE)


def _project(stage: str, outputs: Mapping[str, str]) -> Path:
    project = Path("build", f"api-{stage}")
    shutil.rmtree(project, ignore_errors=True)
    (project / ".chalice" / "deployed").mkdir(parents=True)
    for part in map(Path, PARTS):
        if part.is_dir():
            shutil.copytree(part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(part, project)
    base = json.loads(Path(".chalice", "config.json").read_text())
    (project / ".chalice" / "config.json").write_text(json.dumps(config(base, stage, outputs), indent=2))
    return project


def _fetch_state(s3: Any, bucket: str, target: Path) -> bool:
    try:
        target.write_bytes(s3.get_object(Bucket=bucket, Key=STATE)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return False
        raise
    return True


def _chalice(project: Path, command: str, stage: str) -> None:
    chalice = str(Path(sys.executable).with_name("chalice"))
    program = [chalice, "--project-dir", str(project), command, "--stage", stage]
    # The checkout is installed in this environment; the functions get the project's own copy.
    environment = {**os.environ, "PYTHONPATH": str(project.resolve()), "PIP_REQUIRE_VIRTUALENV": "0"}
    if subprocess.run(program, env=environment).returncode:
        raise DeployError(f"'chalice {command}' failed, and said why above.")
