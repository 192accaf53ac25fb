"""Makes the emulator connect services that AWS connects.

State machines of a stack are executed, with their substitutions; a map fails if more items fail than it tolerates; the
end of an execution is told to EventBridge, whose rules reach functions; and events of S3 have their sequencer.
"""

import itertools
import json
import queue
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast
from unittest.mock import patch

from moto.awslambda.utils import get_backend
from moto.dynamodb.models.table import StreamRecord, StreamShard
from moto.events.models import Rule, events_backends
from moto.s3 import notifications
from moto.stepfunctions import (
    models,
    responses,  # noqa: F401 (imported while `connected`, it would keep what is put in place of the backends)
)
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import distributed_iteration_component
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend, stepfunctions_parser_backends

Iteration = distributed_iteration_component.DistributedIterationComponent
BATCHING_SECONDS = 1.0
EXCEEDED = {
    "error": "States.ExceedToleratedFailureThreshold",
    "cause": "The specified tolerated failure threshold was exceeded",
}


@contextmanager
def connected() -> Iterator[None]:
    with (
        patch.object(models, "stepfunctions_backends", stepfunctions_parser_backends),
        patch.object(models.StateMachine, "create_from_cloudformation_json", classmethod(_state_machine)),
        patch.object(Iteration, "_map_run", _tolerating(Iteration._map_run)),
        patch.object(
            BaseExecutionWorkerCommunication, "terminated", _telling(BaseExecutionWorkerCommunication.terminated)
        ),
        _streaming(),
        patch.object(Rule, "send_to_targets", _unscheduled(Rule.send_to_targets)),
        patch.object(notifications, "_get_s3_event", _sequenced(notifications._get_s3_event)),
    ):
        yield


@contextmanager
def _streaming() -> Iterator[None]:
    """A table's stream is told to functions some time after the changes, many at once, as on AWS."""
    waiting: queue.Queue[tuple[StreamShard, StreamRecord] | None] = queue.Queue()
    add = StreamShard.add

    def added(this: StreamShard, *change: Any) -> None:
        told, this.table.lambda_event_source_mappings = this.table.lambda_event_source_mappings, {}
        try:
            add(this, *change)
        finally:
            this.table.lambda_event_source_mappings = told
        waiting.put((this, this.items[-1]))

    def tell() -> None:
        while (first := waiting.get()) is not None:
            time.sleep(BATCHING_SECONDS)
            batch = [first, *_waiting(waiting)]
            for shard in {id(shard): shard for shard, _ in batch}.values():
                items = [item for of, item in batch if of is shard]
                for arn, source in list(shard.table.lambda_event_source_mappings.items()):
                    functions = get_backend(shard.account_id, arn.split(":")[3])
                    if functions._lambdas.get_arn(arn) is not None:  # it may have been deleted
                        functions.send_dynamodb_items(arn, items, source.event_source_arn)

    teller = threading.Thread(target=tell, name="stream")
    with patch.object(StreamShard, "add", added):
        teller.start()
        try:
            yield
        finally:
            waiting.put(None)
            teller.join()


def _waiting(told: "queue.Queue[Any]") -> Iterator[Any]:
    while not told.empty() and told.queue[0] is not None:
        yield told.get()


def _state_machine(
    _kind: Any, /, _name: str, resource: dict[str, Any], account_id: str, region_name: str, **_: Any
) -> models.StateMachine:
    properties = resource["Properties"]
    values = properties["DefinitionSubstitutions"]
    definition = re.sub(r"\$\{(\w+)}", lambda found: str(values[found[1]]), properties["DefinitionString"])
    backend: StepFunctionsParserBackend = stepfunctions_parser_backends[account_id][region_name]
    return backend.create_state_machine(properties["StateMachineName"], definition, properties["RoleArn"])


def _tolerating(run: Any) -> Any:
    def map_run(this: Any, env: Any, eval_input: Any) -> None:
        run(this, env, eval_input)
        items = eval_input.map_run_record.item_counter
        failed, total = items.failed.get(), items.total.get()
        share, count = eval_input.tolerated_failure_percentage, eval_input.tolerated_failure_count
        if failed and not ((share and 100 * failed / total <= share) or (count and failed <= count)):
            env.stack.pop()
            name, details = CustomErrorName(EXCEEDED["error"]), {"mapRunFailedEventDetails": EXCEEDED}
            raise FailureEventException(FailureEvent(env, name, HistoryEventType.MapRunFailed, cast(Any, details)))

    return map_run


def _telling(terminated: Any) -> Any:
    def told(this: Any) -> None:
        terminated(this)
        _tell(this.execution)

    return told


def _tell(execution: Execution) -> None:
    event: Any = {
        "version": "0",
        "id": "315c1398-40ff-a850-213b-158f73e60175",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": execution.account_id,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": execution.region_name,
        "resources": [execution.exec_arn],
        "detail": {
            "executionArn": execution.exec_arn,
            "stateMachineArn": execution.state_machine_arn,
            "name": execution.name,
            "status": execution.status,
        },
    }
    for bus in events_backends[execution.account_id][execution.region_name].event_buses.values():
        for rule in list(bus.rules.values()):
            if rule.event_pattern.matches_event(event):
                for target in rule.targets:
                    function = get_backend(execution.account_id, execution.region_name).get_function(target["Arn"])
                    function.invoke(json.dumps(event), {}, {})


def _unscheduled(send: Any) -> Any:
    """Rules with a schedule take no events."""

    def sent(this: Rule, event: Any, *arguments: Any) -> None:
        if not this.scheduled_expression:
            send(this, event, *arguments)

    return sent


def _sequenced(event: Any) -> Any:
    numbers = itertools.count()

    def sequenced(*arguments: Any) -> Any:
        made = event(*arguments)
        for record in made["Records"]:
            record["s3"]["object"]["sequencer"] = f"{next(numbers):016X}"
        return made

    return sequenced
