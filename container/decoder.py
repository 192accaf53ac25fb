"""Whisper's decoder by onnxruntime: for several sounds at once, each with one or more attempts at what was said."""

from collections.abc import Sequence

from container import ggml
from container.layers import MIDDLE, Layers, Rows
from container.onnx import Shape
from container.tensors import Weights

Heads = Sequence[tuple[int, int]]
"""Blocks and heads in them, both from 0."""


def decoder(model: ggml.Hyperparameters, weights: Weights, following: Heads) -> bytes:
    """The network of some tokens after others. What goes in, in this order:

    - `x` [sounds, attempts, n, state], the embeddings of the tokens with their positions;
    - `mask` [n, m + n], 0 or minus infinity, for tokens that follow m others;
    - `there` [sounds, 1, 1, positions], 0 or minus infinity: which positions a sound has;
    - for each block the keys [sounds, attempts, heads, size, m] and values [sounds, attempts, heads, m, size] of these,
    - and what `encoder` gives for each of the sounds. All attempts at one are one product, so that memory is read once
      for all of them.

    What comes out:

    - scores [sounds * attempts, vocabulary] after the last token;
    - the shares [sounds, len(following), attempts * n, positions] of the sound that these heads attend to;
    - keys and values of all tokens, for each block.
    """
    layers = Layers(weights)
    add, integers = layers.add, layers.integers
    state, heads = model.text_state, model.text_heads
    size = state // heads
    flat = integers(-1, state)
    shape = add("Shape", "x")
    apart = add("Concat", add("Slice", shape, integers(0), integers(3)), integers(heads, size), axis=0)
    given: dict[str, Shape] = {
        "x": ["sounds", "attempts", "n", state],
        "mask": ["n", "m + n"],
        "there": ["sounds", 1, 1, "positions"],
    }
    results: dict[str, Shape] = {}

    def shapes(key: str, value: str, tokens: str) -> dict[str, Shape]:
        several = "sounds", "attempts", heads
        return {key: [*several, size, tokens], value: [*several, tokens, size]}

    def split(rows: Rows, name: str, order: list[int], factor: float = 1.0) -> str:
        return add("Transpose", add("Reshape", layers.linear(rows, name, factor), apart), perm=order)

    def joined(mixed: str, name: str, order: list[int]) -> str:
        return layers.linear(layers.rows(add("Reshape", add("Transpose", mixed, perm=order), flat)), f"{name}.out")

    x, scale = add("Reshape", "x", flat), size**-0.5
    followed, whole = [], list[str]()
    for number in range(model.text_layers):
        block = f"decoder.blocks.{number}"
        name = f"{block}.attn"
        past = f"past_keys_{number}", f"past_values_{number}"
        readers = [f"{name}.{part}.weight" for part in ("query", "key", "value")]
        rows = layers.normalised(x, f"{block}.attn_ln", readers)
        query = split(rows, f"{name}.query", [0, 1, 3, 2, 4], scale)
        key = add("Concat", past[0], split(rows, f"{name}.key", [0, 1, 3, 4, 2]), axis=4)
        value = add("Concat", past[1], split(rows, f"{name}.value", [0, 1, 3, 2, 4]), axis=3)
        given |= shapes(*past, "m")
        results |= shapes(key, value, "m + n")
        shares = add("Softmax", add("Add", add("MatMul", query, key), "mask"), axis=-1)
        x = add("Add", x, joined(add("MatMul", shares, value), name, [0, 1, 3, 2, 4]))

        name = f"{block}.cross_attn"
        keys, key_step, values, value_steps = (
            f"{part}_{number}" for part in ("sound_keys", "sound_key_step", "sound_values", "sound_value_steps")
        )
        given |= {keys: ["sounds", heads, size, "positions"], key_step: ["sounds", heads, 1, 1]}
        given |= {values: ["sounds", heads, "positions", size], value_steps: ["sounds", heads, 1, size]}
        whole += [keys, values]
        rows = layers.normalised(x, f"{block}.cross_attn_ln", [f"{name}.query.weight"])
        query = add("Reshape", split(rows, f"{name}.query", [0, 3, 1, 2, 4], scale), integers(0, 0, -1, size))
        shares = add("Softmax", add("Add", layers.attended(query, keys, key_step, MIDDLE), "there"), axis=-1)
        if own := [head for of, head in following if of == number]:
            followed.append(add("Gather", shares, integers(*own), axis=1))
        mixed = layers.attended(shares, values, value_steps, 0)
        x = add("Add", x, joined(mixed, name, [0, 2, 1, 3]))
        x = layers.forward(x, block)

    last = add("Slice", add("Reshape", x, shape), integers(-1), integers(model.text_context), integers(2))
    vocabulary = "decoder.token_embedding.weight"
    rows = layers.normalised(add("Reshape", last, flat), "decoder.ln", [vocabulary])
    scores = layers.product(rows, weights.parts(vocabulary))
    shares = add("Concat", *followed, axis=1)
    results = {
        scores: ["sounds * attempts", model.vocabulary],
        shares: ["sounds", len(following), "attempts * n", "positions"],
        **results,
    }
    return layers.graph.model(given, results, whole)
