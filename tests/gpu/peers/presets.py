"""The models of the comparison: their sizes, and the batch of a step that fits one GPU of 80 GB on every side without recompute."""

PRESETS = {
    "gpt2_124m": {"family": "gpt2", "layers": 12, "hidden": 768, "heads": 12, "vocabulary": 50257, "positions": 1024, "batch": 64},
    "gpt2_355m": {"family": "gpt2", "layers": 24, "hidden": 1024, "heads": 16, "vocabulary": 50257, "positions": 1024, "batch": 16},
    "gpt2_774m": {"family": "gpt2", "layers": 36, "hidden": 1280, "heads": 20, "vocabulary": 50257, "positions": 1024, "batch": 8},
    "gpt2_1.5b": {"family": "gpt2", "layers": 48, "hidden": 1600, "heads": 25, "vocabulary": 50257, "positions": 1024, "batch": 8},
    "llama_1b": {"family": "llama", "layers": 22, "hidden": 2048, "heads": 16, "kv_heads": 16, "inner": 5504, "vocabulary": 32000, "positions": 2048,
                 "batch": 4},
    # For a machine without a GPU: the same scripts in seconds.
    "gpt2_tiny": {"family": "gpt2", "layers": 3, "hidden": 64, "heads": 4, "vocabulary": 512, "positions": 64, "batch": 4},
    "llama_tiny": {"family": "llama", "layers": 3, "hidden": 64, "heads": 4, "kv_heads": 2, "inner": 160, "vocabulary": 512, "positions": 64, "batch": 4},
}


def parameters_of(sizes):
    """All of them, and those of matrices through which every token goes (the head's too; looking up an embedding multiplies nothing)."""
    hidden, layers, vocabulary = sizes["hidden"], sizes["layers"], sizes["vocabulary"]
    if sizes["family"] == "gpt2":
        matrices = layers * 12 * hidden * hidden + vocabulary * hidden
        return matrices + layers * 13 * hidden + 2 * hidden + sizes["positions"] * hidden, matrices
    kv = hidden // sizes["heads"] * sizes["kv_heads"]
    matrices = layers * (2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * sizes["inner"]) + vocabulary * hidden
    return matrices + vocabulary * hidden + (2 * layers + 1) * hidden, matrices


def flops_per_token(sizes):
    """6 N of forward and backward of the matrices, and of causal attention 6 layers hidden length: two products of length x length x hidden in
    forward, four in backward, 2 operations each, of which half is masked and not asked for."""
    return 6 * parameters_of(sizes)[1] + 6 * sizes["layers"] * sizes["hidden"] * sizes["positions"]
