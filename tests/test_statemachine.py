"""The workflow's definition: its form, and what it does when things go wrong, run by the emulator's interpreter."""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib import keys
from tests import aws
from tests.cloud import Cloud, emulated

TEXT = Path("statemachine.json").read_text()
DEFINITION = json.loads(TEXT)
JOB = "01jd8w5x7n0000000000000000"
PLACEHOLDERS = {"StepsFunction", "TranscribeFunction", "TranscriptsBucket", "MaxConcurrency"}

States = dict[str, dict[str, Any]]


def machines(states: States) -> Iterator[States]:
    """These states, and those inside of maps."""
    yield states
    for state in states.values():
        if state["Type"] == "Map":
            yield from machines(state["ItemProcessor"]["States"])


ALL = {name: state for states in machines(DEFINITION["States"]) for name, state in states.items()}
TASKS = [pytest.param(state, id=name) for name, state in ALL.items() if state["Type"] == "Task"]
MAPS = [pytest.param(state, id=name) for name, state in ALL.items() if state["Type"] == "Map"]


def test_placeholders_are_those_that_the_stack_fills_in() -> None:
    assert set(re.findall(r"\$\{(\w+)}", TEXT)) == PLACEHOLDERS


def test_every_state_that_comes_next_exists_and_every_state_is_reached() -> None:
    for states in machines(DEFINITION["States"]):
        followed = {name for state in states.values() for name in followers(state)}
        starts = {
            DEFINITION["StartAt"],
            *(state["ItemProcessor"]["StartAt"] for state in ALL.values() if "Label" in state),
        }
        assert followed <= states.keys()
        assert states.keys() - followed <= starts


def followers(state: dict[str, Any]) -> Iterator[str]:
    yield from (state[name] for name in ("Next", "Default") if name in state)
    yield from (choice["Next"] for choice in state.get("Choices", []))
    yield from (catcher["Next"] for catcher in state.get("Catch", []))


@pytest.mark.parametrize("task", TASKS)
def test_tasks_are_tried_again_with_patience_and_then_caught(task: dict[str, Any]) -> None:
    throttled, *_, lost = task["Retry"]
    assert throttled["ErrorEquals"][0] == "Lambda.TooManyRequestsException"
    assert lost["ErrorEquals"] == ["States.ALL"]
    for retry in (throttled, lost):
        assert retry["BackoffRate"] > 1
        assert retry["JitterStrategy"] == "FULL"
        assert retry["MaxDelaySeconds"] == 60
    # Two jobs may want more functions than the account has for as long as one of them lasts; half a minute on average.
    assert throttled["MaxAttempts"] * 30 == 12 * 3600
    assert [catcher["ErrorEquals"] for catcher in task["Catch"]] == [["States.ALL"]]
    assert task["TimeoutSeconds"] <= 930


def test_a_batch_goes_on_for_as_long_as_it_gets_on() -> None:
    retry = ALL["TranscribeBatch"]["Retry"][1]
    assert (retry["ErrorEquals"], retry["MaxAttempts"]) == (["OutOfTime"], 50)


@pytest.mark.parametrize("map", MAPS)
def test_maps_fan_out_as_far_as_told_and_tolerate_what_items_could_not_record(map: dict[str, Any]) -> None:
    assert map["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert map["MaxConcurrencyPath"] == "$.plan.concurrency"
    assert map["ToleratedFailurePercentage"] == 100.0
    assert map["Catch"][0]["Next"] == "FailJob"
    assert "Retry" in map


@pytest.mark.parametrize("map", MAPS)
def test_what_comes_of_a_map_does_not_travel_between_states(map: dict[str, Any]) -> None:
    """The results of 100,000 items, empty as they are, would be more than a state may hand on."""
    assert map["ResultWriter"] == {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {
            "Bucket": "${TranscriptsBucket}",
            "Prefix.$": f"States.Format('work/{{}}/results/{map['Label']}', $$.Execution.Input.job)",
        },
    }
    assert map["ResultPath"] is None


Script = Callable[[dict[str, Any], int], Any]


@dataclass
class Workflow:
    """The state machine over functions that follow a script: given an event and how often it came before."""

    cloud: Cloud
    script: Script
    files: int = 3
    batches: int = 2
    events: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, event: dict[str, Any]) -> Any:
        before = self.events.count(event)
        self.events.append(event)
        answer = self.script(event, before)
        if isinstance(answer, Exception):
            raise answer
        match event["step"]:
            case "plan":
                return {"job": JOB, "files": self.files}
            case "batch":
                return {"job": JOB, "batches": self.batches}
            case _:
                return {"job": JOB}

    def run(self) -> dict[str, Any]:
        """The execution once it has ended."""
        put = boto3.client("s3").put_object
        batches = [{"index": n, "chunks": [{"file": n, "index": 0, "seconds": 1.5}]} for n in range(self.batches)]
        put(Bucket=aws.TRANSCRIPTS, Key=keys.files(JOB), Body=json.dumps(list(range(self.files))))
        put(Bucket=aws.TRANSCRIPTS, Key=keys.batches(JOB), Body=json.dumps(batches))
        functions = {name: self.cloud.add_function(name, self) for name in ("steps", "transcriber")}
        stepfunctions = boto3.client("stepfunctions")
        machine = stepfunctions.create_state_machine(
            name="transcribe", definition=rendered(functions), roleArn="arn:aws:iam::123456789012:role/workflow"
        )["stateMachineArn"]
        started = stepfunctions.start_execution(stateMachineArn=machine, name=JOB, input=json.dumps({"job": JOB}))
        for _ in range(600):
            execution: dict[str, Any] = stepfunctions.describe_execution(executionArn=started["executionArn"])
            if execution["status"] != "RUNNING":
                return execution
            time.sleep(0.05)
        raise TimeoutError(f"still running after {self.events}")

    def steps(self) -> list[str]:
        return [event["step"] for event in self.events]

    def given(self, step: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["step"] == step]


def rendered(functions: dict[str, str]) -> str:
    """The definition as the stack fills it in, in a hurry: what is tried again is tried again within a second."""
    values = {
        "StepsFunction": functions["steps"],
        "TranscribeFunction": functions["transcriber"],
        "TranscriptsBucket": aws.TRANSCRIPTS,
        "MaxConcurrency": "2",
    }
    text = re.sub(r"\$\{(\w+)}", lambda found: values[found[1]], TEXT)
    return re.sub(
        r'"BackoffRate": \d+', '"BackoffRate": 1', re.sub(r'"IntervalSeconds": \d+', '"IntervalSeconds": 1', text)
    )


@pytest.fixture
def workflow() -> Iterator[Callable[..., Workflow]]:
    with emulated() as cloud:
        yield lambda script=nothing, **counts: Workflow(cloud, script, **counts)


def nothing(_event: dict[str, Any], _before: int) -> None:
    return None


def test_all_goes_well(workflow: Callable[..., Workflow]) -> None:
    work = workflow()
    assert work.run()["status"] == "SUCCEEDED"
    kinds = ["plan", *["prepare"] * 3, "batch", *["transcribe"] * 2, *["merge"] * 3, "finish"]
    assert work.steps() == kinds
    assert work.events[0] == {"step": "plan", "job": JOB}
    assert sorted(event["file"] for event in work.given("prepare")) == [0, 1, 2]
    assert {"step": "merge", "job": JOB, "file": 2} in work.events
    batch = {"index": 1, "chunks": [{"file": 1, "index": 0, "seconds": 1.5}]}
    assert {"step": "transcribe", "job": JOB, "batch": batch} in work.events
    written = boto3.client("s3").list_objects_v2(Bucket=aws.TRANSCRIPTS, Prefix=f"{keys.work(JOB)}results/")["Contents"]
    assert [item["Key"].split("/")[3] for item in written] == ["merge", "prepare", "transcribe"]


@pytest.mark.parametrize(
    ("files", "batches", "steps"),
    [
        pytest.param(0, 0, ["plan", "finish"], id="no-files"),
        pytest.param(1, 0, ["plan", "prepare", "batch", "merge", "finish"], id="no-batches"),
    ],
)
def test_nothing_to_do(workflow: Callable[..., Workflow], files: int, batches: int, steps: list[str]) -> None:
    work = workflow(files=files, batches=batches)
    assert work.run()["status"] == "SUCCEEDED"
    assert work.steps() == steps


class Died(Exception):
    pass


class OutOfTime(Exception):
    pass


def test_a_function_that_dies_twice_is_tried_again(workflow: Callable[..., Workflow]) -> None:
    work = workflow(lambda event, before: Died("no more") if event["step"] == "transcribe" and before < 2 else None)
    assert work.run()["status"] == "SUCCEEDED"
    assert work.steps().count("transcribe") == 6
    assert "fail_file" not in work.steps()


def test_a_batch_that_runs_out_of_time_goes_on(workflow: Callable[..., Workflow]) -> None:
    work = workflow(
        lambda event, before: OutOfTime("later") if event["step"] == "transcribe" and before < 6 else None, batches=1
    )
    assert work.run()["status"] == "SUCCEEDED"
    assert work.steps().count("transcribe") == 7, "more often than a function that dies"


@pytest.mark.parametrize(("step", "code"), [("prepare", "unprepared"), ("merge", "unmerged")])
def test_a_file_that_cannot_be_done_is_recorded_and_the_others_are_done(
    workflow: Callable[..., Workflow], step: str, code: str
) -> None:
    work = workflow(lambda event, _: Died("no more") if event["step"] == step and event["file"] == 1 else None)
    assert work.run()["status"] == "SUCCEEDED"
    (given_up,) = work.given("fail_file")
    cause = given_up.pop("cause")
    assert given_up == {"step": "fail_file", "job": JOB, "file": 1, "code": code}
    assert json.loads(cause["Cause"])["errorType"] == "Died"
    assert len([event for event in work.given(step) if event["file"] == 1]) == 5
    assert work.steps()[-1] == "finish"


def test_a_batch_that_is_given_up_leaves_the_rest_to_merge(workflow: Callable[..., Workflow]) -> None:
    def script(event: dict[str, Any], _before: int) -> Any:
        return Died("no more") if event["step"] == "transcribe" and event["batch"]["index"] == 0 else None

    work = workflow(script)
    assert work.run()["status"] == "SUCCEEDED"
    assert work.steps()[-4:] == ["merge", "merge", "merge", "finish"]


@pytest.mark.parametrize("step", ["plan", "batch", "finish"])
def test_anything_else_fails_the_job_with_its_cause(workflow: Callable[..., Workflow], step: str) -> None:
    work = workflow(lambda event, _: Died("no more") if event["step"] == step else None)
    execution = work.run()
    assert execution["status"] == "FAILED"
    assert work.steps()[-1] == "fail_job"
    failed = work.events[-1]
    assert failed["job"] == JOB
    assert json.loads(failed["cause"]["Cause"])["errorMessage"] == "no more"
    assert json.loads(execution["cause"])["errorType"] == "Died"


def test_a_missing_list_fails_the_job(workflow: Callable[..., Workflow]) -> None:
    def script(event: dict[str, Any], _before: int) -> None:
        if event["step"] == "plan":
            boto3.client("s3").delete_object(Bucket=aws.TRANSCRIPTS, Key=keys.files(JOB))

    work = workflow(script)
    assert work.run()["status"] == "FAILED"
    assert work.steps() == ["plan", "fail_job"]
