"""Events that were lost: jobs that wait are looked at from time to time, and what has arrived is taken note of."""

from dataclasses import dataclass

from chalicelib import arrivals
from chalicelib.aws.records import FIRST_SECONDS, DynamoRecords, Waiting
from chalicelib.jobs import JobState
from chalicelib.service import Service

PAGE = 100
# A job is looked at again when it has waited as long again, but after this at the latest.
LONGEST_SECONDS = 3600
# Who has not sent the rest by then has given up.
GIVEN_UP_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class Overlooked:
    """`records` are those of `service`."""

    service: Service
    records: DynamoRecords

    def sweep(self) -> None:
        """Looks at the jobs that are due. Any number of these may run at once, and each may be killed."""
        while due := self.records.waiting(self.service.clock(), PAGE):
            for waiting in due:
                self._look_at(waiting)

    def _look_at(self, waiting: Waiting) -> None:
        job, now = self.records.job(waiting.job), self.service.clock()
        waited = now - waiting.since
        begun = job is None or job.state not in (JobState.AWAITING_UPLOAD, JobState.QUEUED)
        if begun or waited > GIVEN_UP_SECONDS:
            self.records.end_waiting(waiting)
            return
        # First, so that a job that cannot be helped does not keep the others waiting.
        self.records.put_off(waiting, now + min(max(waited, FIRST_SECONDS), LONGEST_SECONDS))
        arrivals.catch_up(self.service, waiting.job)
