"""The arithmetic of the simulation: exact values for jobs that can be reckoned by hand."""

import pytest

from bench import simulate
from bench.scale import Burst, Outcome, Platform, Work, burst, in_batches, in_one_function, longest_in_one_function
from chalicelib.settings import BATCH_SECONDS

# A vCPU for each, so that seconds of processors are seconds; $ per second of 1.7275 GB.
ONE_VCPU = Platform(concurrency=2, transcriber_memory=1769, steps_memory=1769, cold_start=5, state=1, short_step=1)
SECOND = 1769 / 1024 * 0.0000166667


class TestBurst:
    def test_idle_environments_are_taken_before_cold_ones(self) -> None:
        assert burst([3, 1, 1], 10, 1.0, 5) == Burst(seconds=8, function_seconds=20, environments=3, invocations=3)
        assert burst([3, 1, 1], 10, 0.1, 5) == Burst(seconds=21, function_seconds=10, environments=1, invocations=3)

    def test_no_more_than_allowed_at_once(self) -> None:
        assert burst([10] * 4, 2, 1, 5) == Burst(seconds=26, function_seconds=50, environments=2, invocations=4)

    def test_children_start_one_after_the_other(self) -> None:
        assert burst([1] * 1001, 10_000, 100, 0).seconds == pytest.approx(11)

    def test_warm_ones_pay_no_start(self) -> None:
        assert burst([2, 2], 2, 100, 5, warm=2).function_seconds == 4

    def test_nothing(self) -> None:
        assert burst([], 2, 100, 5) == Burst(0, 0, 0, 0)


class TestInBatches:
    # 100 s of decoding, and 4 batches of 250 s of recognising on 2 functions.
    WORK = Work(files=1, seconds=2000, recognising=0.5, preparing=0.05)

    def test_time(self) -> None:
        outcome = in_batches(self.WORK, 500, ONE_VCPU)
        prepared, recognised, merged, short, states = 105, 0.01 + 255 + 250, 1, 3, 6
        assert outcome.seconds == pytest.approx(5 + prepared + recognised + merged + short + states)
        assert outcome.concurrency == 2
        assert not outcome.failed

    def test_money(self) -> None:
        outcome = in_batches(self.WORK, 500, ONE_VCPU)
        assert outcome.function_seconds == 105 + 1 + 3 + 4 * 250 + 2 * 5
        requests, transitions = 1 + 4 + 1 + 3, 10 + 2 * (2 + 4)
        assert outcome.dollars == pytest.approx(
            SECOND * outcome.function_seconds + 2e-7 * requests + 2.5e-5 * transitions + 0.0011 * 2000 / 3600
        )

    def test_a_batch_is_no_longer_than_fits(self) -> None:
        """1,200 s take 600 s."""
        halves, whole = in_batches(self.WORK, 1000, ONE_VCPU), in_batches(self.WORK, 2000, ONE_VCPU)
        assert whole == halves

    def test_many_files(self) -> None:
        outcome = in_batches(Work(1000, 100, 0.5, 0.05), 1000, ONE_VCPU)
        assert outcome.seconds == pytest.approx(5 + (500 * 5 + 5) + (50 * 500 + 5) + 500 + 3 + 6, abs=0.1)


class TestInOneFunction:
    def test_what_fits(self) -> None:
        outcome = in_one_function(Work(3, 1000, 0.5, 0.05), ONE_VCPU)
        assert (outcome.seconds, outcome.function_seconds, outcome.concurrency) == (1105, 1660, 2)
        assert outcome.dollars == pytest.approx(SECOND * 1660 + 3 * 2e-7 + 0.0011 * 3000 / 3600)

    def test_what_does_not_is_stopped_and_paid_for(self) -> None:
        outcome = in_one_function(Work(1, 3600, 0.5, 0.05), ONE_VCPU)
        assert outcome.failed
        assert (outcome.seconds, outcome.function_seconds) == (905, 905)

    def test_the_longest(self) -> None:
        longest = longest_in_one_function(Work(1, 1, 0.5, 0.05), ONE_VCPU)
        assert longest == pytest.approx(900 / 0.55)
        assert not in_one_function(Work(1, longest - 0.01, 0.5, 0.05), ONE_VCPU).failed
        assert in_one_function(Work(1, longest + 0.01, 0.5, 0.05), ONE_VCPU).failed


class TestChoice:
    @staticmethod
    def outcome(dollars: float) -> Outcome:
        return Outcome(1, 1, 1, dollars)

    def test_the_smallest_that_is_nowhere_much_dearer(self) -> None:
        curves = [
            {size: self.outcome(dollars) for size, dollars in zip((60, 300, 600), prices, strict=True)}
            for prices in ((1.2, 1.1, 1.0), (1.05, 1.0, 1.0))
        ]
        assert simulate.chosen_batch(curves) == 300
        assert simulate.chosen_batch(curves[1:]) == 60

    def test_the_default_is_what_the_simulation_gives(self) -> None:
        assert simulate.default_batch() == simulate.chosen_batch(simulate.batch_curves({}, 1000)) == BATCH_SECONDS


def test_speeds_are_those_of_the_benchmark() -> None:
    """Per second of speech."""

    def score(program: str, model: str, seconds: float, **recognising: float) -> dict[str, object]:
        length = {"audio_seconds": seconds, "speech_seconds": seconds * 0.75}
        return {"program": program, "model": model, **length, **recognising}

    scores = [
        score("ours", "base", 600, recognising=30),
        score("ours", "base", 1000, recognising=70),
        score("ours", "base", 3600, recognising=216),
        score("ours", "base", 11, recognising=9),
        score("ours", "tiny.en", 600),
        score("whisper-cli", "tiny.en", 600, recognising=30),
    ]
    assert simulate.measured_speeds({"cores": 2, "scores": scores}) == {"base": pytest.approx(0.16)}


@pytest.mark.parametrize(("seconds", "said"), [(59.6, "60 s"), (600, "10 min"), (9000, "2.5 h"), (864_000, "10 days")])
def test_durations(seconds: float, said: str) -> None:
    assert simulate.duration(seconds) == said
