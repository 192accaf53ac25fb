"""The workflow as executions of a Step Functions state machine."""

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from chalicelib import ids


@dataclass(frozen=True)
class StepFunctions:
    """`chalicelib.ports.Workflow`: executions of the state machine `arn`.

    `client` is boto3's for Step Functions. A name can be used once in 90 days, so nothing is run twice.
    """

    client: Any
    arn: str

    def start(self, execution: str) -> None:
        job, _ = ids.parse_execution(execution)
        try:
            self.client.start_execution(stateMachineArn=self.arn, name=execution, input=json.dumps({"job": job}))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise

    def stop(self, execution: str) -> None:
        machine = self.arn.replace(":stateMachine:", ":execution:")
        try:
            self.client.stop_execution(executionArn=f"{machine}:{execution}", cause="The job was cancelled.")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                raise
