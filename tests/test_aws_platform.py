"""How the service is put together from the environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib import platform
from chalicelib.aws import environment
from chalicelib.aws import platform as aws_platform
from chalicelib.aws.environment import SettingError
from chalicelib.aws.objects import S3Objects
from chalicelib.aws.records import DynamoRecords
from chalicelib.aws.workflow import StepFunctions
from tests.aws import MEDIA, TABLE, TRANSCRIPTS
from tests.conftest import Figure


def test_the_service_is_built_once_from_the_environment(
    aws_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "_provided", [])
    for name, value in {**aws_environment, "RETENTION_DAYS": "30", "DEFAULT_MODEL": "base"}.items():
        monkeypatch.setenv(name, value)
    service = platform.service()
    assert isinstance(service.objects, S3Objects)
    assert (service.objects.media, service.objects.transcripts) == (MEDIA, TRANSCRIPTS)
    assert isinstance(service.records, DynamoRecords)
    assert (service.records.table, service.records.keep_seconds) == (TABLE, 30 * 86400)
    assert isinstance(service.workflow, StepFunctions)
    assert service.workflow.arn == aws_environment["STATE_MACHINE_ARN"]
    assert service.settings.models == {"tiny.en": False, "base": True}
    assert service.settings.default_model == "base"
    assert platform.service() is service


def test_what_is_missing_is_named_with_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "_provided", [])
    for name in environment.API:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRANSCRIPTS_BUCKET", "t")
    monkeypatch.setenv("MODELS", "")
    with pytest.raises(SettingError) as raised:
        platform.service()
    assert str(raised.value) == (
        "Not set in the environment: MEDIA_BUCKET, TABLE, STATE_MACHINE_ARN, MODELS. On AWS, `make deploy` sets "
        "what the stack has made: in .chalice/config.json for the API, in infrastructure.yaml for the steps. "
        "On one machine, start the service with `transcriber serve`."
    )


def test_the_steps_need_no_state_machine(aws_environment: dict[str, str]) -> None:
    del aws_environment["STATE_MACHINE_ARN"]
    aws_platform.objects(aws_environment)
    aws_platform.records(aws_environment)
    with pytest.raises(SettingError, match="STATE_MACHINE_ARN"):
        aws_platform.workflow(aws_environment)


def test_the_first_model_is_the_default() -> None:
    settings = environment.settings({"MODELS": " base:multilingual, tiny.en:english"})
    assert (settings.models, settings.default_model) == ({"base": True, "tiny.en": False}, "base")


def test_the_model_of_voices_is_none_of_those_to_choose() -> None:
    settings = environment.settings({"MODELS": "speakers:voices,base:multilingual"})
    assert (settings.models, settings.default_model, settings.diarizes) == ({"base": True}, "base", True)
    with pytest.raises(SettingError, match="which MODELS does not name"):
        environment.settings({"MODELS": "speakers:voices"})


@pytest.mark.parametrize("models", ["tiny.en", "tiny.en:", ":english", "tiny.en:english,", "tiny.en:German"])
def test_models_are_named_with_their_kinds(models: str) -> None:
    with pytest.raises(SettingError, match=f"MODELS is '{models}', and should name models with their kinds"):
        environment.settings({"MODELS": models})


def test_the_default_model_is_one_of_the_models() -> None:
    with pytest.raises(SettingError, match=r"DEFAULT_MODEL is 'large', which MODELS does not name: tiny\.en\."):
        environment.settings({"MODELS": "tiny.en:english", "DEFAULT_MODEL": "large"})


@pytest.mark.parametrize("days", ["-1", "a week", "1.5", "²"])
def test_retention_is_a_whole_number(days: str) -> None:
    with pytest.raises(SettingError, match=r"RETENTION_DAYS is .*, and should be a whole number"):
        environment.keep_seconds({"RETENTION_DAYS": days})


@pytest.mark.alone
def test_the_app_is_imported_quickly_and_without_an_environment(figure: Figure) -> None:
    clean = {name: value for name, value in os.environ.items() if name not in environment.API}
    script = "import time; start = time.perf_counter(); import app, sys; print(time.perf_counter() - start); "
    script += "print('boto3' in sys.modules, app.MEDIA_BUCKET)"
    command = [sys.executable, "-c", script]
    told = [
        subprocess.run(command, cwd=Path(__file__).parents[1], env=clean, capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    seconds, rest = zip(*(run.stdout.splitlines() for run in told), strict=True)
    figure(f"import app {min(map(float, seconds)):.2f} s")
    assert set(rest) == {"False MEDIA_BUCKET-is-not-set"}
    assert min(map(float, seconds)) < 0.6
