"""Networks of our own against the same in plain numpy, read from a model file of random weights."""

import math
import re
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from container import catalogue, ggml, mel, tensors
from container.catalogue import ModelError
from container.layers import ATTENDED_STEPS, LOW, MIDDLE, Layers
from container.network import FOLLOWING, Network
from container.onnx import Shape
from container.recogniser import Recogniser

Floats = NDArray[np.float32]

STATE, HEADS, LAYERS = 96, 6, 4
SIZE = STATE // HEADS
MODEL = ggml.Hyperparameters(51_864, 1500, STATE, HEADS, LAYERS, 448, STATE, HEADS, LAYERS, 80, ggml.FORMAT_F16)
FILTERS = np.abs(np.random.default_rng(1).normal(0, 0.01, (80, mel.FREQUENCIES))).astype(np.float32)
POSITIONS = 500

# Products of whole numbers are each wrong by a hundredth.
WRONG = 0.05


class Plain:
    """OpenAI's model, layer by layer."""

    def __init__(self, weights: dict[str, Floats]) -> None:
        self._weights = weights

    def encoded(self, mels: Floats) -> Floats:
        x = mels
        for name, stride in (("conv1", 1), ("conv2", 2)):
            kernel, bias = self._weights[f"encoder.{name}.weight"], self._weights[f"encoder.{name}.bias"]
            windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1))), 3, axis=1)[:, ::stride]
            x = gelu(np.einsum("int,oit->on", windows, kernel) + bias)
        x = x.T + self._weights["encoder.positional_embedding"][: x.shape[1]]
        for layer in range(LAYERS):
            name = f"encoder.blocks.{layer}"
            y = self._normalised(x, f"{name}.attn_ln")
            x = x + self._attended(y, y, f"{name}.attn")[0]
            x = self._forward(x, name)
        return self._normalised(x, "encoder.ln_post")

    def cross(self, encoded: Floats, layer: int) -> tuple[Floats, Floats]:
        """Keys and values of the sound."""
        name = f"decoder.blocks.{layer}.cross_attn"
        return self._linear(encoded, f"{name}.key"), self._linear(encoded, f"{name}.value")

    def read(self, tokens: list[int], encoded: Floats) -> tuple[Floats, Floats]:
        """Scores after the last token, and what the following heads attend to at each."""
        embeddings = self._weights["decoder.token_embedding.weight"]
        x = embeddings[tokens] + self._weights["decoder.positional_embedding"][: len(tokens)]
        shares: dict[int, Floats] = {}
        for layer in range(LAYERS):
            name = f"decoder.blocks.{layer}"
            y = self._normalised(x, f"{name}.attn_ln")
            x = x + self._attended(y, y, f"{name}.attn", causal=True)[0]
            y = self._normalised(x, f"{name}.cross_attn_ln")
            mixed, shares[layer] = self._attended(y, encoded, f"{name}.cross_attn")
            x = self._forward(x + mixed, name)
        followed = np.stack([shares[layer][head] for layer, head in FOLLOWING[LAYERS, False]])
        return self._normalised(x[-1:], "decoder.ln")[0] @ embeddings.T, followed

    def _attended(self, x: Floats, to: Floats, name: str, causal: bool = False) -> tuple[Floats, Floats]:
        sources = ((x, "query"), (to, "key"), (to, "value"))
        query, key, value = (
            self._linear(source, f"{name}.{part}").reshape(len(source), HEADS, SIZE).swapaxes(0, 1)
            for source, part in sources
        )
        scores = query @ key.swapaxes(1, 2) / math.sqrt(SIZE)
        if causal:
            scores = scores + np.triu(np.full(scores.shape[1:], -np.inf), 1)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        shares = scores / scores.sum(-1, keepdims=True)
        return self._linear((shares @ value).swapaxes(0, 1).reshape(len(x), STATE), f"{name}.out"), shares

    def _forward(self, x: Floats, name: str) -> Floats:
        wide = gelu(self._linear(self._normalised(x, f"{name}.mlp_ln"), f"{name}.mlp.0"))
        return x + self._linear(wide, f"{name}.mlp.2")

    def _linear(self, x: Floats, name: str) -> Floats:
        product: Floats = x @ self._weights[f"{name}.weight"].T + self._weights.get(f"{name}.bias", np.float32(0))
        return product

    def _normalised(self, x: Floats, name: str) -> Floats:
        spread = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        scaled: Floats = (x - x.mean(-1, keepdims=True)) / spread * weight + bias
        return scaled


def gelu(x: Floats) -> Floats:
    activated: Floats = (x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2).astype(np.float32)
    return activated


def written(path: Path, model: ggml.Hyperparameters = MODEL) -> dict[str, Floats]:
    """A model file of random weights, and these as they were written."""
    rng, made = np.random.default_rng(2), {}
    for name, shape in tensors.shapes(model).items():
        values = rng.normal(size=shape) / math.sqrt(math.prod(shape[1:]) or 1)
        made[name] = (1 + values / 10 if re.search(r"(ln|ln_post)\.weight$", name) else values).astype(np.float16)
    texts = [b" " if number == 220 else b"%d" % number for number in range(50_257)]
    with path.open("wb") as file:
        ggml.write(file, model, FILTERS, texts, made.items())
    return {name: array.astype(np.float32) for name, array in made.items()}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plain]:
    path = tmp_path_factory.mktemp("model") / "random.bin"
    return path, Plain(written(path))


@pytest.fixture(scope="module")
def made(file: tuple[Path, Plain]) -> Network:
    return Network(file[0], 1)


@pytest.fixture(scope="module")
def sounds() -> list[Floats]:
    return [np.random.default_rng(seed).normal(0, 0.1, 16_000 * 4).astype(np.float32) for seed in range(2)]


def near(found: Floats, expected: Floats) -> bool:
    return bool(np.abs(found - expected).mean() < WRONG * np.abs(expected).mean())


def test_keys_and_values_are_those_of_whisper(file: tuple[Path, Plain], made: Network, sounds: list[Floats]) -> None:
    heard = made.listen(sounds, [POSITIONS] * len(sounds))
    for number, sound in enumerate(sounds):
        encoded = file[1].encoded(mel.spectrum(sound, FILTERS, 2 * POSITIONS))
        for layer in range(LAYERS):
            key, value = (array.reshape(POSITIONS, HEADS, SIZE) for array in file[1].cross(encoded, layer))
            keys, key_step, values, value_steps = (part[number] for part in heard.parts[4 * layer + 1 : 4 * layer + 5])
            assert near(keys * key_step, key.transpose(1, 2, 0))
            assert near(values * value_steps, value.transpose(1, 0, 2))
            for whole in (np.abs(keys).max((1, 2)), np.abs(values).max(1)):
                assert (whole == ATTENDED_STEPS).all(), "all that there is room for, and no more"


def test_sounds_of_different_lengths_are_read_as_if_alone(made: Network, sounds: list[Floats]) -> None:
    """The shorter one has no positions after its own."""
    tokens = np.array([[[50_257, 11, 12]]] * 2)
    lengths = [POSITIONS, POSITIONS - 50]
    both = made.read(tokens, made.nothing_read(2), made.listen(sounds, lengths))
    assert not both.attention[1, ..., lengths[1] :].any()
    for number, (sound, length) in enumerate(zip(sounds, lengths, strict=True)):
        alone = made.read(tokens[:1], made.nothing_read(1), made.listen([sound], [length]))
        assert near(both.scores[number], alone.scores[0])
        assert near(both.attention[number, ..., :length], alone.attention[0])


def test_what_is_read_is_what_whisper_reads(file: tuple[Path, Plain], made: Network, sounds: list[Floats]) -> None:
    """Some tokens together, some one by one, and attempts that go different ways, of which two change their places."""
    heard, tokens = made.listen(sounds, [POSITIONS] * len(sounds)), [[50_257, 11, 12, 13], [50_257, 20, 21, 22]]
    read = made.read(np.array(tokens)[:, np.newaxis, :2], made.nothing_read(2), heard)
    assert read.attention.shape == (2, 1, 8, POSITIONS)
    read = made.read(np.array(tokens)[:, np.newaxis, 2:3], read.past, heard)
    different = [[[13], [14]], [[22], [23]]]
    read = made.read(np.array(different), read.past.of([0, 1], [[0, 0]] * 2), heard)
    assert read.past.length == 4
    for number, sound in enumerate(sounds):
        encoded = file[1].encoded(mel.spectrum(sound, FILTERS, 2 * POSITIONS))
        for attempt in range(2):
            whole = [*tokens[number][:3], different[number][attempt][0]]
            scores, shares = file[1].read(whole, encoded)
            assert near(read.scores[number, attempt], scores)
            assert near(read.attention[number, attempt], shares[:, -1])
    more = made.read(np.array([[[15, 17], [16, 18]], [[25, 27], [26, 28]]]), read.past, heard)
    by_one = made.read(np.array([[[15], [16]], [[25], [26]]]), read.past, heard)
    by_one = made.read(np.array([[[17], [18]], [[27], [28]]]), by_one.past, heard)
    assert near(more.scores, by_one.scores)
    assert near(more.attention, by_one.attention)
    read = made.read(np.array([[[15], [16]]]), read.past.of([1], [[1, 0]]), heard.only([1]))
    encoded = file[1].encoded(mel.spectrum(sounds[1], FILTERS, 2 * POSITIONS))
    for attempt, last in enumerate(([23, 15], [22, 16])):
        scores, shares = file[1].read([*tokens[1][:3], *last], encoded)
        assert near(read.scores[0, attempt], scores)
        assert near(read.attention[0, attempt], shares[:, -1])


def test_one_of_several_sounds_goes_on(made: Network, sounds: list[Floats]) -> None:
    heard = made.listen(sounds, [POSITIONS] * len(sounds))
    second = [part[1].copy() for part in heard.parts]
    both = made.read(np.full((2, 1, 3), 7), made.nothing_read(2), heard)
    together = made.read(np.full((2, 1, 1), 8), both.past, heard)
    alone = made.read(np.full((1, 1, 1), 8), both.past.of([1], [[0]]), left := heard.only([1]))
    assert all(np.array_equal(part[0], own) for part, own in zip(left.parts, second, strict=True))
    assert near(alone.scores[0], together.scores[1])


def test_silence_makes_no_odd_numbers(made: Network) -> None:
    heard = made.listen([np.zeros(16_000, np.float32)], [POSITIONS])
    assert all(np.isfinite(part).all() for part in heard.parts)


@pytest.mark.parametrize("zero", [0, MIDDLE])
def test_what_is_attended_to_are_whole_numbers(file: tuple[Path, Plain], zero: int) -> None:
    """With a step for each column here. One column is nothing, and so are one sound's first queries."""
    rng = np.random.default_rng(5)
    asked = rng.uniform(0 if zero == 0 else -1, 1, (2, HEADS, 3, SIZE)).astype(np.float32)
    asked[1, :, 0] = 0
    matrix = rng.normal(size=(2, HEADS, SIZE, 40)).astype(np.float32) * np.logspace(-3, 3, 40, dtype=np.float32)
    matrix[..., 7] = 0
    layers = Layers(tensors.Weights(file[0]))
    product = layers.attended("x", *layers.whole("matrix", axes=[2]), zero)
    shapes: dict[str, Shape] = {"x": ["sounds", HEADS, "n", SIZE], "matrix": ["sounds", HEADS, SIZE, "m"]}
    network = layers.graph.model(shapes, {product: ["sounds", HEADS, "n", "m"]})
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": asked, "matrix": matrix})
    assert not found[1, :, 0].any()
    assert not found[..., 7].any()
    for column in (0, 20, 39):
        assert near(found[..., column], (asked @ matrix)[..., column])


@pytest.mark.parametrize("zero", [MIDDLE, LOW])
def test_rows_of_all_sizes_have_steps_of_their_own(file: tuple[Path, Plain], zero: int) -> None:
    """One of nothing as well."""
    sizes = np.array([[0], [1e-35], [1e-6], [1], [1e6]], np.float32)
    rows = sizes * np.random.default_rng(3).uniform(0 if zero == LOW else -1, 1, (5, STATE)).astype(np.float32)
    weight = np.random.default_rng(4).normal(size=(40, STATE)).astype(np.float32)
    layers = Layers(tensors.Weights(file[0]))
    product = layers.product(layers.rows("x", zero=zero), [weight])
    network = layers.graph.model({"x": ["n", STATE]}, {product: ["n", 40]})
    (found,) = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"]).run(None, {"x": rows})
    assert not found[0].any()
    for row in (2, 3, 4):
        assert near(found[row], rows[row] @ weight.T)


@pytest.mark.parametrize("wrong", ["encoder.blocks.2.mlp.9.weight", "encoder.blocks.2.mlp.0.weighs"])
def test_a_model_with_another_tensor_is_damaged(wrong: str, models_dir: Path, tmp_path: Path) -> None:
    whole = catalogue.path("tiny.en", models_dir).read_bytes()
    name = b"encoder.blocks.2.mlp.0.weight"
    assert whole.count(name) == 1
    (tmp_path / "odd.bin").write_bytes(whole.replace(name, wrong.encode()))
    with pytest.raises(ModelError, match=rf"odd\.bin is damaged.*it has no place for '{re.escape(wrong)}'"):
        Recogniser(tmp_path / "odd.bin")


def test_a_model_with_a_wrong_shape_is_damaged(models_dir: Path, tmp_path: Path) -> None:
    whole = catalogue.path("tiny.en", models_dir).read_bytes()
    head = ggml.Tensor("encoder.blocks.0.mlp.0.weight", ggml.Q8_0, (1536, 384)).head()
    turned = ggml.Tensor("encoder.blocks.0.mlp.0.weight", ggml.Q8_0, (384, 1536)).head()
    assert whole.count(head) == 1
    (tmp_path / "odd.bin").write_bytes(whole.replace(head, turned))
    with pytest.raises(
        ModelError, match=r"no place for 'encoder\.blocks\.0\.mlp\.0\.weight' of the shape \(384, 1536\)"
    ):
        Recogniser(tmp_path / "odd.bin")


@pytest.mark.parametrize("texts", [[b"a"] * 50_257, [b" "] * 10])
def test_a_model_without_its_tokens_is_damaged(tmp_path: Path, texts: list[bytes]) -> None:
    path = tmp_path / "odd.bin"
    with path.open("wb") as file:
        ggml.write(file, MODEL, FILTERS, texts, [])
    with pytest.raises(ModelError, match="it has no text for each token"):
        Recogniser(path)


def test_a_model_of_numbers_that_are_none_is_damaged(file: tuple[Path, Plain], tmp_path: Path) -> None:
    whole = file[0].read_bytes()
    bias = ggml.Tensor("decoder.blocks.1.mlp.0.bias", ggml.F32, (4 * STATE,)).head()
    assert whole.count(bias) == 1
    nan = np.full(1, np.nan, np.float32).tobytes()
    at = whole.index(bias) + len(bias)
    (tmp_path / "odd.bin").write_bytes(whole[:at] + nan + whole[at + 4 :])
    with pytest.raises(ModelError, match=r"'decoder\.blocks\.1\.mlp\.0\.bias' of .* has values that are not finite"):
        Recogniser(tmp_path / "odd.bin")


def test_a_model_that_has_a_tensor_twice_is_damaged(models_dir: Path, tmp_path: Path) -> None:
    whole = catalogue.path("tiny.en", models_dir).read_bytes()
    odd = whole.replace(b"encoder.blocks.0.attn.out.weight", b"encoder.blocks.1.attn.out.weight")
    (tmp_path / "odd.bin").write_bytes(odd)
    with pytest.raises(ModelError, match="some of its tensors are missing"):
        Recogniser(tmp_path / "odd.bin")


@pytest.mark.parametrize(
    "change",
    [
        {"text_heads": 7},
        {"audio_heads": 7},
        {"audio_state": 192},
        {"audio_layers": 2**31 - 1},
        {"audio_context": 100},
        {"text_context": 2},
        {"vocabulary": 50_000},
    ],
)
def test_a_model_whose_sizes_do_not_fit_is_damaged(tmp_path: Path, change: dict[str, int]) -> None:
    odd = replace(MODEL, **change)
    path = tmp_path / "odd.bin"
    written(path)
    data = bytearray(path.read_bytes())
    for place, value in enumerate(astuple(odd), start=1):
        data[4 * place : 4 * place + 4] = value.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"odd\.bin is damaged"):
        Recogniser(path)
