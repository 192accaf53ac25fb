"""The CloudFormation stack, brought up to date through change sets."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError, WaiterError

from deploy.settings import DeployError

TEMPLATE, DEFINITION = Path("infrastructure.yaml"), Path("statemachine.json")
PLACE = "DefinitionS3Location: statemachine.json"
# What CloudFormation takes without a bucket in between.
LARGEST_TEMPLATE = 51_200
POLL = {"Delay": 5, "MaxAttempts": 720}
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
NEW_ACCOUNT = (
    "New accounts may have functions of at most 3,008 MB: set TRANSCRIBE_MEMORY=3008, or ask AWS for more through a "
    "quota request."
)


def template() -> str:
    """The template's text with that of the state machine in its place."""
    definition = json.dumps(json.loads(DEFINITION.read_text()), separators=(",", ":"))
    text = TEMPLATE.read_text()
    if text.count(PLACE) != 1:
        raise DeployError(f"{TEMPLATE} has no place for the state machine: {PLACE}")
    return text.replace(PLACE, f"DefinitionString: {json.dumps(definition)}")


def parsed(text: str) -> dict[str, Any]:
    """A template as CloudFormation sees it, `!Sub` and its like written out as `Fn::Sub`."""
    document: dict[str, Any] = yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    return document


def deploy(cloudformation: Any, name: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Makes or changes the stack and returns its outputs. Raises DeployError with the first things that went wrong.

    Buckets and a table that an earlier stack left behind are taken over.
    """
    status = _status(cloudformation, name)
    if status == "ROLLBACK_COMPLETE":
        _delete(cloudformation, name)
        status = None
    new = status in (None, "REVIEW_IN_PROGRESS")
    change = f"deploy-{int(time.time() * 1000)}"
    cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=change,
        ChangeSetType="CREATE" if new else "UPDATE",
        TemplateBody=template(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
        ImportExistingResources=True,
        Tags=[{"Key": "application", "Value": "transcribe"}],
    )
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(
            StackName=name, ChangeSetName=change, WaiterConfig=POLL
        )
    except WaiterError:
        reason = cloudformation.describe_change_set(StackName=name, ChangeSetName=change).get("StatusReason", "")
        cloudformation.delete_change_set(StackName=name, ChangeSetName=change)
        if any(words in reason for words in NO_CHANGES):
            return outputs(cloudformation, name)
        raise DeployError(f"CloudFormation refuses the stack {name}: {reason}") from None
    started = cloudformation.describe_stacks(StackName=name)["Stacks"][0].get("LastUpdatedTime")
    cloudformation.execute_change_set(StackName=name, ChangeSetName=change)
    try:
        cloudformation.get_waiter(f"stack_{'create' if new else 'update'}_complete").wait(
            StackName=name, WaiterConfig=POLL
        )
    except WaiterError:
        raise DeployError(f"The stack {name} failed:\n{_reasons(cloudformation, name, started)}") from None
    return outputs(cloudformation, name)


def outputs(cloudformation: Any, name: str) -> dict[str, str]:
    """The outputs of a stack. Raises DeployError if there is none, or it was never completed."""
    made = found(cloudformation, name)
    if not made:
        raise DeployError(f"There is no stack {name}. Make it with: make deploy")
    return made


def found(cloudformation: Any, name: str) -> dict[str, str]:
    """The outputs of a stack, none if it is not there or was never completed."""
    stack = _described(cloudformation, name) or {}
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def parameters(cloudformation: Any, name: str) -> dict[str, str]:
    """The parameters that a stack has now. Raises DeployError if there is none, or it was never completed."""
    outputs(cloudformation, name)
    stack = _described(cloudformation, name) or {}
    return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack["Parameters"]}


def destroy(cloudformation: Any, name: str) -> None:
    if _status(cloudformation, name) is not None:
        _delete(cloudformation, name)


def _status(cloudformation: Any, name: str) -> str | None:
    stack = _described(cloudformation, name)
    return None if stack is None else str(stack["StackStatus"])


def _described(cloudformation: Any, name: str) -> dict[str, Any] | None:
    try:
        stack: dict[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise
    return stack


def _delete(cloudformation: Any, name: str) -> None:
    cloudformation.delete_stack(StackName=name)
    try:
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=POLL)
    except WaiterError:
        raise DeployError(f"The stack {name} could not be deleted:\n{_reasons(cloudformation, name, None)}") from None


def _reasons(cloudformation: Any, name: str, since: Any) -> str:
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [
        f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("FAILED") and (since is None or event["Timestamp"] > since)
    ]
    text = "\n".join(failed[:5])
    return f"{text}\n{NEW_ACCOUNT}" if "MemorySize" in text else text


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms of functions."""


def _function(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _function)
