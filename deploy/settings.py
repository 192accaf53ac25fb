"""What a deployment is called and how large it is: from `.env`, `.env.<stage>` and the environment."""

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from container.catalogue import CATALOGUE, VOICES

DEFAULT_MODELS = "tiny.en base"
DEFAULT_MODEL = "base"
# New accounts run 10 functions at once. What a job leaves free is for the API and the upload events.
SHARE_OF_CONCURRENCY = 0.8


class DeployError(Exception):
    """The deployment cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Deployment:
    """One stage in one account and region. `settings` are the variables of the environment and the `.env` files."""

    stage: str
    account: str
    region: str
    settings: Mapping[str, str]

    @property
    def stack(self) -> str:
        return f"transcribe-{self.stage}"

    @property
    def repository(self) -> str:
        return f"transcribe-{self.stage}"

    @property
    def registry(self) -> str:
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"

    @property
    def media_bucket(self) -> str:
        return self.settings.get("VIDEO_BUCKET") or f"transcribe-{self.stage}-media-{self.account}-{self.region}"

    @property
    def transcripts_bucket(self) -> str:
        named = self.settings.get("TRANSCRIPT_BUCKET")
        return named or f"transcribe-{self.stage}-transcripts-{self.account}-{self.region}"

    @property
    def architecture(self) -> str:
        """`x86_64` or `arm64`: as told, else this machine's, for which images are built fastest."""
        here = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
        return self.settings.get("ARCHITECTURE") or here

    @property
    def models(self) -> list[str]:
        """The names of the models in the image, the one that tells voices apart among them. Raises DeployError."""
        names = (self.settings.get("MODELS") or DEFAULT_MODELS).split()
        unknown = [name for name in names if name not in (*CATALOGUE, VOICES)]
        if unknown:
            raise DeployError(f"MODELS names {', '.join(unknown)}; there are {', '.join((*CATALOGUE, VOICES))}.")
        if not any(name in CATALOGUE for name in names):
            raise DeployError(f"MODELS is {' '.join(names)}, which transcribes nothing. Add {DEFAULT_MODEL}, say.")
        return names

    @property
    def default_model(self) -> str:
        """Raises DeployError."""
        whisper = [name for name in self.models if name in CATALOGUE]
        usual = DEFAULT_MODEL if DEFAULT_MODEL in whisper else whisper[0]
        model = self.settings.get("DEFAULT_MODEL") or usual
        if model not in whisper:
            raise DeployError(f"DEFAULT_MODEL is {model}, which MODELS does not name: {' '.join(whisper)}.")
        return model

    @property
    def data(self) -> dict[str, str]:
        """The names of what outlives the stack, as its outputs call them."""
        return {
            "MediaBucket": self.media_bucket,
            "TranscriptsBucket": self.transcripts_bucket,
            "Table": self.stack,
        }

    def with_image_of(self, parameters: Mapping[str, str]) -> "Deployment":
        """The same with what the image of a stack with these parameters was built for."""
        models = " ".join(entry.partition(":")[0] for entry in parameters["Models"].split(","))
        return replace(self, settings={**self.settings, "MODELS": models, "ARCHITECTURE": parameters["Architecture"]})

    def parameters(self, template: Mapping[str, Any], image: str, concurrency: int) -> dict[str, str]:
        """The parameters of the stack: `MaxConcurrency` is the setting `MAX_CONCURRENCY`, and so on.

        What no setting tells has the template's default, but for `MaxConcurrency`: a share of the account's.
        """
        told = {name: self.settings.get(variable(name)) for name in template["Parameters"]}
        most = int(template["Parameters"]["MaxConcurrency"]["MaxValue"])
        return {
            "MaxConcurrency": str(min(most, max(1, int(concurrency * SHARE_OF_CONCURRENCY)))),
            **{name: value for name, value in told.items() if value},
            "Stage": self.stage,
            "ImageUri": image,
            "Architecture": self.architecture,
            "MediaBucketName": self.media_bucket,
            "TranscriptsBucketName": self.transcripts_bucket,
            "Models": ",".join(f"{name}:{kind(name)}" for name in self.models),
            "DefaultModel": self.default_model,
        }


def kind(model: str) -> str:
    """What `chalicelib.aws.environment` calls the kind of a model."""
    if model == VOICES:
        return "voices"
    return "multilingual" if CATALOGUE[model].multilingual else "english"


def variable(parameter: str) -> str:
    """`MaxConcurrency` as `MAX_CONCURRENCY`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", parameter).upper()


def settings(stage: str, environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The `.env` files of a folder, the stage's own over the common one, and the environment over both."""
    found: dict[str, str] = {}
    for file in (folder / ".env", folder / f".env.{stage}"):
        if file.exists():
            found |= parse(file.read_text())
    return {**found, **environment}


def parse(text: str) -> dict[str, str]:
    """Lines of `NAME=value`, with or without quotes; others are comments."""
    pairs = re.findall(r"^(?:export +)?([A-Za-z_]\w*)=(.*?)\s*$", text, re.MULTILINE)
    return {name: value.strip("\"'") for name, value in pairs}
