"""What becomes of a job, told to others: to EventBridge every state, to webhooks the end."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib import webhooks
from chalicelib.aws.items import decoded
from chalicelib.jobs import Job
from chalicelib.ports import Records
from chalicelib.webhooks import Sender

SOURCE = "transcribe"
DETAIL_TYPE = "Transcription Job State Change"
# What EventBridge takes in one request.
ENTRIES = 10
# As long as SQS hides a message.
LONGEST_PAUSE = 12 * 3600


class NotTold(Exception):
    """EventBridge or a webhook did not take what it was told; whoever invoked the function tries again."""


@dataclass(frozen=True)
class StateChange:
    """A job came into its state; `id` is the same whenever the change is told. `previous` is `None` for a new job."""

    id: str
    job: Job
    previous: str | None


def state_changes(event: Mapping[str, Any]) -> Iterator[StateChange]:
    """The changes of jobs' states among those of the table's items, which its stream tells."""
    for record in event["Records"]:
        change = record["dynamodb"]
        if change["Keys"]["sk"]["S"] != "job" or "state" not in change.get("NewImage", {}):
            continue  # and not an item that is left of a deleted job
        job = Job.model_validate(decoded(change["NewImage"]))
        previous = change["OldImage"]["state"]["S"] if "OldImage" in change else None
        if job.state != previous:
            yield StateChange(record["eventID"], job, previous)


@dataclass(frozen=True)
class Announcements:
    """`events` and `sqs` are boto3's clients; the queue holds what is to be told to webhooks for a day."""

    events: Any
    sqs: Any
    queue_url: str
    records: Records
    sender: Sender

    def table_changed(self, event: Mapping[str, Any]) -> None:
        """Raises NotTold."""
        changes = list(state_changes(event))
        for start in range(0, len(changes), ENTRIES):
            entries = [_entry(change) for change in changes[start : start + ENTRIES]]
            if self.events.put_events(Entries=entries)["FailedEntryCount"]:
                raise NotTold("EventBridge did not take every event")
        for change in changes:
            if change.job.state.final and change.job.webhook is not None:
                body = json.dumps({"job": change.job.id, "message": f"msg_{change.id}"})
                self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def webhook_due(self, event: Mapping[str, Any], now: float) -> None:
        """Delivers a message of the queue, or hides it there until it is due again and raises NotTold."""
        for record in event["Records"]:
            body, attempts = json.loads(record["body"]), int(record["attributes"]["ApproximateReceiveCount"])
            if not webhooks.deliver(self.records, self.sender, body["job"], body["message"], now):
                self.sqs.change_message_visibility(
                    QueueUrl=self.queue_url,
                    ReceiptHandle=record["receiptHandle"],
                    VisibilityTimeout=min(LONGEST_PAUSE, round(webhooks.pause(attempts))),
                )
                raise NotTold(f"the webhook of job {body['job']} did not take attempt {attempts}")


def _entry(change: StateChange) -> dict[str, str]:
    job = change.job
    detail = {"job": job.id, "owner": job.owner, "state": job.state, "previous": change.previous}
    return {"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": json.dumps(detail)}
