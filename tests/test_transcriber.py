"""`transcriber` and the demo as people start them, and a multilingual model from end to end."""

import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from container import weights
from container.packages import fetch_package
from local.cli import main
from tests.conftest import CACHE
from tests.live import live

CLIPS = ("pytest-audioeval==0.1.3", "8b97369347232d43180dd9860189c547ccc8dedb42b7c21d511ddc5a05ef7ecc")
CLIP = "pytest_audioeval/samples/audio/fr/pangrama.wav"
SENTENCE = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country."


def transcriber(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "local.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_demo_transcribes_a_video(tmp_path: Path, models_dir: Path, jfk_video: Path) -> None:
    (tmp_path / "my talks" / "week 1").mkdir(parents=True)
    (tmp_path / "my talks" / "week 1" / "a.mp4").symlink_to(jfk_video)
    (tmp_path / "my talks" / "notes.txt").write_text("no media")
    run = transcriber("demo", tmp_path / "my talks", "--models", models_dir, "--output", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    text = (tmp_path / "out" / "week 1" / "a.txt").read_text()
    assert text.replace(",", "") == f"{SENTENCE}\n"
    assert " ".join(run.stdout.split()).endswith(text.strip())
    assert (tmp_path / "out" / "week 1" / "a.srt").read_text().startswith("1\n00:00:00,")


def test_the_demo_of_nothing(tmp_path: Path, models_dir: Path) -> None:
    missing = transcriber("demo", tmp_path / "missing", "--models", models_dir)
    assert (missing.returncode, missing.stderr) == (1, f"Error: There is no file or folder {tmp_path / 'missing'}.\n")
    empty = transcriber("demo", tmp_path, "--models", models_dir, "--output", tmp_path / "out")
    assert empty.returncode == 1
    assert "Nothing to transcribe" in empty.stderr + empty.stdout


def test_models_are_listed_and_installed(models_dir: Path) -> None:
    listed = transcriber("models", "list", "--models", models_dir)
    rows = {line.split()[0]: line.split()[1:] for line in listed.stdout.splitlines()[1:]}
    assert rows["tiny.en"] == ["English", "75", "MiB", "yes"]
    assert rows["large-v3"] == ["many", "2970", "MiB"]
    assert transcriber("models", "install", "tiny.en", "--models", models_dir).returncode == 0
    unknown = transcriber("models", "install", "gigantic", "--models", models_dir)
    assert unknown.returncode == 1
    assert "There is no model 'gigantic'. The models are tiny, tiny.en" in unknown.stderr


def test_the_version_is_told() -> None:
    run = CliRunner().invoke(main, ["--version"], prog_name="transcriber")
    assert (run.stdout, run.exit_code) == (f"transcriber {version('transcribe-service')}\n", 0)


@pytest.mark.parametrize(("name", "meant"), [("large", "large-v3"), ("turbo", "large-v3-turbo"), ("gigantic", None)])
@pytest.mark.parametrize("command", [["serve", "--port", "0", "--model"], ["demo", "--model"], ["models", "install"]])
def test_a_model_that_does_not_exist_is_not_to_be_installed(
    tmp_path: Path, command: list[str], name: str, meant: str | None
) -> None:
    (tmp_path / "ggml-mine.bin").touch()
    run = CliRunner(env={"COLUMNS": "300"}).invoke(main, [*command, name, "--models", str(tmp_path)])
    guess = f" Did you mean {meant}?" if meant else ""
    assert run.stderr.startswith(f"Error: There is no model '{name}'.{guess} The models are tiny, tiny.en, ")
    assert "large-v3-turbo, mine" in run.stderr
    assert "models install" not in run.stderr
    assert run.exit_code == 1


def test_a_service_whose_model_is_missing_says_how_to_install_it(tmp_path: Path, models_dir: Path) -> None:
    run = transcriber("serve", "--port", "0", "--data", tmp_path, "--models", models_dir, "--model", "large-v3")
    assert run.returncode == 1
    assert f"transcriber models install --models {models_dir} large-v3" in run.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "99999"], "99999 is not in the range"),
        (["--host", "nowhere.invalid"], "nowhere.invalid is not an address of this machine"),
        (["--data", "/proc/nothing"], "The folder /proc/nothing cannot be used"),
    ],
)
def test_a_service_that_cannot_start(tmp_path: Path, models_dir: Path, options: list[str], message: str) -> None:
    run = transcriber("serve", "--port", "0", "--data", tmp_path, "--models", models_dir, *options)
    assert run.returncode != 0
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_a_service_on_all_addresses_prints_one_that_can_be_used(tmp_path: Path, models_dir: Path) -> None:
    options = ["--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path), "--models", str(models_dir)]  # noqa: S104
    command = [sys.executable, "-m", "local.cli", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().removeprefix("export TRANSCRIBE_SERVER=")
        health = httpx.get(f"{url}/health", trust_env=False)
        process.terminate()
        _, messages = process.communicate(timeout=20)
    assert url.startswith("http://localhost:")
    assert health.json()["status"] == "ok"
    assert "From other machines: the same with this machine's name" in messages


def test_a_multilingual_model(tmp_path: Path, models_dir: Path, samples_dir: Path) -> None:
    """The language is found out, or taken as told, and translated on request."""
    weights.install("base", CACHE / "models", lambda *_: None)
    with zipfile.ZipFile(fetch_package(*CLIPS, samples_dir)) as package:
        (tmp_path / "clip.wav").write_bytes(package.read(CLIP))
    with live(tmp_path / "data", models_dir, "base") as service:
        for options, language in (({}, "fr"), ({"language": "fr"}, "fr")):
            job = service.wait(service.submit({"clip.wav": tmp_path / "clip.wav"}, **options))
            assert job["files"][0]["language"] == language
            text = service.transcript(job["id"], 0, "txt").lower()
            # The whisky is heard as such by some processors only: their sums differ in the last digits.
            assert "portez ce v" in text
            assert " juge" in text
        job = service.wait(service.submit({"clip.wav": tmp_path / "clip.wav"}, task="translate", model="base"))
        text = service.transcript(job["id"], 0, "txt").lower()
        assert "vieux" not in text
        assert "old whiskey" in text
        job = service.wait(service.submit({"clip.wav": tmp_path / "clip.wav"}, model="tiny.en"))
        assert job["options"]["model"] == "tiny.en"
        assert job["files"][0]["language"] == "en"
