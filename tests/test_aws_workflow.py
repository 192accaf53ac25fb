"""Executions of the state machine."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.aws import platform
from chalicelib.aws.workflow import StepFunctions

JOB = "01k0000000000000000000000a"


@pytest.fixture
def workflow(aws_environment: dict[str, str]) -> StepFunctions:
    return platform.workflow(aws_environment)


def executions(workflow: StepFunctions) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workflow.client.list_executions(stateMachineArn=workflow.arn)["executions"]
    return found


def test_an_execution_has_the_name_and_the_id_of_its_job(workflow: StepFunctions) -> None:
    workflow.start(JOB)
    (execution,) = executions(workflow)
    assert execution["name"] == JOB
    told = workflow.client.describe_execution(executionArn=execution["executionArn"])
    assert json.loads(told["input"]) == {"job": JOB}


def test_a_job_is_started_once(workflow: StepFunctions) -> None:
    workflow.start(JOB)
    workflow.start(JOB)
    (execution,) = executions(workflow)
    workflow.client.stop_execution(executionArn=execution["executionArn"])
    workflow.start(JOB)
    assert len(executions(workflow)) == 1


def test_another_attempt_is_another_execution_of_the_same_job(workflow: StepFunctions) -> None:
    workflow.start(JOB)
    workflow.start(f"{JOB}-2")
    assert {execution["name"] for execution in executions(workflow)} == {JOB, f"{JOB}-2"}
    (second,) = [found for found in executions(workflow) if found["name"] != JOB]
    told = workflow.client.describe_execution(executionArn=second["executionArn"])
    assert json.loads(told["input"]) == {"job": JOB}


def test_a_run_is_stopped_by_its_name_and_may_be_missing(workflow: StepFunctions) -> None:
    workflow.start(JOB)
    workflow.start(f"{JOB}-2")
    for _ in range(2):
        workflow.stop(f"{JOB}-2")
    workflow.stop(f"{JOB}-3")
    stopped = {execution["name"]: execution["status"] for execution in executions(workflow)}
    assert stopped == {JOB: "RUNNING", f"{JOB}-2": "ABORTED"}


def test_what_exists_is_success(workflow: StepFunctions) -> None:
    # moto knows names for as long as their executions run only.
    raises(workflow, "ExecutionAlreadyExists")
    workflow.start(JOB)


def test_other_errors_are_raised(workflow: StepFunctions) -> None:
    raises(workflow, "StateMachineDoesNotExist")
    with pytest.raises(ClientError, match="StateMachineDoesNotExist"):
        workflow.start(JOB)


def raises(workflow: StepFunctions, code: str) -> None:
    def fail(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "refused by the test"}}, "StartExecution")

    workflow.client.meta.events.register("before-call.stepfunctions.StartExecution", fail)
