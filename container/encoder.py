"""Whisper's encoder by onnxruntime: from the spectrum of a sound to the keys and values that its decoder attends to."""

from container import ggml
from container.layers import Layers
from container.onnx import Shape
from container.tensors import Weights

CONVOLUTIONS = {"encoder.conv1": 1, "encoder.conv2": 2}
"""With their strides: frames of the spectrum become half as many positions."""


def encoder(model: ggml.Hyperparameters, weights: Weights) -> bytes:
    """The network of a sound: `mels` [1, mels, 2n] and `places` [n, state], the first n positions, go in.

    For each block of the decoder, keys [heads, size, n] and what a step of theirs is worth [heads, 1, 1], and values
    [heads, n, size] and the same [heads, 1, size] come out.
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
    apart = layers.integers(-1, heads, size)
    results: dict[str, Shape] = {}
    whole = []
    for name in blocks:
        key, value = (add("Reshape", layers.linear(rows, f"{name}.{part}"), apart) for part in ("key", "value"))
        key, key_step = (add("Transpose", part, perm=[1, 2, 0]) for part in layers.whole(key, axes=[0, 2]))
        value, value_steps = (add("Transpose", part, perm=[1, 0, 2]) for part in layers.whole(value, axes=[0]))
        results |= {key: [heads, size, "n"], key_step: [heads, 1, 1]}
        results |= {value: [heads, "n", size], value_steps: [heads, 1, size]}
        whole += [key, value]
    given: dict[str, Shape] = {"mels": [1, model.mels, "frames"], "places": ["n", model.audio_state]}
    return layers.graph.model(given, results, whole)
