"""Whisper's encoder by onnxruntime: from the spectrum of a sound to the keys and values that its decoder attends to."""

from container import ggml
from container.layers import Layers
from container.onnx import Shape
from container.tensors import Weights

CONVOLUTIONS = {"encoder.conv1": 1, "encoder.conv2": 2}
"""With their strides: frames of the spectrum become half as many positions."""


def encoder(model: ggml.Hyperparameters, weights: Weights) -> bytes:
    """The network of a sound: `mels` [1, mels, 2n] and `places` [n, state], the first n positions, go in.

    For each block of the decoder, keys [heads, 1, size, n] and values [heads, 1, n, size] come out.
    """
    layers = Layers(weights)
    add, flat = layers.add, layers.integers(-1, model.audio_state)
    x = "mels"
    for name, stride in CONVOLUTIONS.items():
        kernel, bias = (
            layers.constant(array) for array in (weights[f"{name}.weight"], weights[f"{name}.bias"].ravel())
        )
        x = add("Conv", x, kernel, bias, kernel_shape=[3], pads=[1, 1], strides=[stride])
        x = add("com.microsoft.Gelu", x)
    x = add("Add", add("Reshape", add("Transpose", x, perm=[0, 2, 1]), flat), "places")
    sound = layers.integers(1, -1, model.audio_state)
    for number in range(model.audio_layers):
        name = f"encoder.blocks.{number}"
        readers = [f"{name}.attn.{part}" for part in ("query", "key", "value")]
        rows = layers.normalised(x, f"{name}.attn_ln", (f"{reader}.weight" for reader in readers))
        parts = [add("Reshape", layers.linear(rows, reader), sound) for reader in readers]
        mixed = add("com.microsoft.MultiHeadAttention", *parts, num_heads=model.audio_heads)
        x = add("Add", x, layers.linear(layers.rows(add("Reshape", mixed, flat)), f"{name}.attn.out"))
        x = layers.forward(x, name)
    blocks = [f"decoder.blocks.{number}.cross_attn" for number in range(model.text_layers)]
    readers = [f"{name}.{part}.weight" for name in blocks for part in ("key", "value")]
    rows = layers.normalised(x, "encoder.ln_post", readers)
    heads, size = model.text_heads, model.text_state // model.text_heads
    apart = layers.integers(-1, 1, heads, size)
    results: dict[str, Shape] = {}
    for name in blocks:
        key, value = (add("Reshape", layers.linear(rows, f"{name}.{part}"), apart) for part in ("key", "value"))
        results[add("Transpose", key, perm=[2, 1, 3, 0])] = [heads, 1, size, "n"]
        results[add("Transpose", value, perm=[2, 1, 0, 3])] = [heads, 1, "n", size]
    given: dict[str, Shape] = {"mels": [1, model.mels, "frames"], "places": ["n", model.audio_state]}
    return layers.graph.model(given, results)
