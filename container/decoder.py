"""Whisper's decoder by onnxruntime: for several sounds at once, each with one or more attempts at what was said."""

from collections.abc import Sequence

from container import ggml
from container.layers import Layers, Rows
from container.onnx import Shape
from container.tensors import Weights

Heads = Sequence[tuple[int, int]]
"""Blocks and heads in them, both from 0."""


def decoder(model: ggml.Hyperparameters, weights: Weights, following: Heads) -> bytes:
    """The network of some tokens after others. What goes in, in this order:

    - `x` [sounds, attempts, n, state], the embeddings of the tokens with their positions;
    - `mask` [n, m + n], 0 or minus infinity, for tokens that follow m others;
    - `there` [sounds, 1, 1, 1, positions], 0 or minus infinity: which positions a sound has;
    - for each block the keys [sounds, attempts, heads, size, m] and values [sounds, attempts, heads, m, size] of these,
    - and the keys [sounds, 1, heads, size, positions] and values [sounds, 1, heads, positions, size] of the sounds.

    What comes out:

    - scores [sounds, attempts, 1, vocabulary] after the last token;
    - the shares [sounds, attempts, len(following), n, positions] of the sound that these heads attend to;
    - keys and values of all tokens, for each block.
    """
    layers = Layers(weights)
    add, integers = layers.add, layers.integers
    state, heads = model.text_state, model.text_heads
    size = state // heads
    apart, together = integers(0, 0, 0, heads, size), integers(0, 0, 0, state)
    given: dict[str, Shape] = {
        "x": ["sounds", "attempts", "n", state],
        "mask": ["n", "m + n"],
        "there": ["sounds", 1, 1, 1, "positions"],
    }
    results: dict[str, Shape] = {}

    def shapes(pair: tuple[str, str], attempts: int | str, tokens: str) -> dict[str, Shape]:
        """Of a block's keys and values."""
        key, value = pair
        return {
            key: ["sounds", attempts, heads, size, tokens],
            value: ["sounds", attempts, heads, tokens, size],
        }

    def split(rows: Rows, name: str, factor: float = 1.0, *, key: bool = False) -> str:
        parts = add("Reshape", layers.linear(rows, name, factor), apart)
        return add("Transpose", parts, perm=[0, 1, 3, 4, 2] if key else [0, 1, 3, 2, 4])

    def joined(shares: str, value: str, name: str) -> str:
        mixed = add("Transpose", add("MatMul", shares, value), perm=[0, 1, 3, 2, 4])
        return layers.linear(layers.rows(add("Reshape", mixed, together)), f"{name}.out")

    x, scale = "x", size**-0.5
    followed = []
    for number in range(model.text_layers):
        block = f"decoder.blocks.{number}"
        name = f"{block}.attn"
        past = f"past_keys_{number}", f"past_values_{number}"
        readers = [f"{name}.{part}.weight" for part in ("query", "key", "value")]
        rows = layers.normalised(x, f"{block}.attn_ln", readers)
        query = split(rows, f"{name}.query", scale)
        key = add("Concat", past[0], split(rows, f"{name}.key", key=True), axis=4)
        value = add("Concat", past[1], split(rows, f"{name}.value"), axis=3)
        given |= shapes(past, "attempts", "m")
        results |= shapes((key, value), "attempts", "m + n")
        shares = add("Softmax", add("Add", add("MatMul", query, key), "mask"), axis=-1)
        x = add("Add", x, joined(shares, value, name))

        name = f"{block}.cross_attn"
        sound = f"sound_keys_{number}", f"sound_values_{number}"
        query = split(layers.normalised(x, f"{block}.cross_attn_ln", [f"{name}.query.weight"]), f"{name}.query", scale)
        shares = add("Softmax", add("Add", add("MatMul", query, sound[0]), "there"), axis=-1)
        if own := [head for of, head in following if of == number]:
            followed.append(add("Gather", shares, integers(*own), axis=2))
        given |= shapes(sound, 1, "positions")
        x = add("Add", x, joined(shares, sound[1], name))
        x = layers.forward(x, block)

    last = add("Slice", x, integers(-1), integers(model.text_context), integers(2))
    vocabulary = "decoder.token_embedding.weight"
    scores = layers.product(layers.normalised(last, "decoder.ln", [vocabulary]), weights.parts(vocabulary))
    shares = add("Concat", *followed, axis=2)
    results = {
        scores: ["sounds", "attempts", 1, model.vocabulary],
        shares: ["sounds", "attempts", len(following), "n", "positions"],
        **results,
    }
    return layers.graph.model(given, results)
