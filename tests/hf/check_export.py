"""Holds an exported Hugging Face folder against the reference model whose weights it should have.

    check_export.py FOLDER EXPECTED [--tolerance 1e-4] [--trained]

EXPECTED is a reference model's folder (hf/, expected.json, expected.safetensors). Checked with nothing but Python: the form of
the file, metadata, names, shapes, types, and the values to the bit (not with --trained). Where transformers can be imported
also: that it finds every weight and no other, and max |logit difference|. Prints the faults; exit status 1 if there are any.
"""
import argparse
import json
import os
import pathlib
import struct
import sys


def read_safetensors(path):
    """{name: (dtype, shape, bytes)}, metadata, and the faults of the form."""
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8:8 + length])
    data = raw[8 + length:]
    faults = [] if (8 + length) % 8 == 0 else [f"{path.name}: the tensors do not begin at a multiple of 8 bytes"]
    metadata = header.pop("__metadata__", {})
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if entry["data_offsets"][0] != end:
            faults.append(f"{name}: begins at {entry['data_offsets'][0]}, not at {end}")
        end = entry["data_offsets"][1]
    if end != len(data):
        faults.append(f"{path.name}: {len(data)} bytes of tensors, {end} in the header")
    return {n: (e["dtype"], tuple(e["shape"]), data[slice(*e["data_offsets"])]) for n, e in header.items()}, metadata, faults


def check_files(folder, expected, trained):
    tensors, metadata, faults = read_safetensors(folder / "model.safetensors")
    reference, _, _ = read_safetensors(expected / "hf" / "model.safetensors")
    if metadata != {"format": "pt"}:
        faults.append(f"__metadata__ is {metadata}")
    faults += [f"missing: {name}" for name in sorted(reference.keys() - tensors.keys())]
    faults += [f"unexpected: {name}" for name in sorted(tensors.keys() - reference.keys())]
    for name in sorted(reference.keys() & tensors.keys()):
        if tensors[name][:2] != reference[name][:2]:
            faults.append(f"{name}: {tensors[name][:2]}, expected {reference[name][:2]}")
        elif not trained and tensors[name][2] != reference[name][2]:
            faults.append(f"{name}: other values")
    return faults, tensors


# Of config.json: what must be there, by either of its names, and be equal to the reference's.
KEYS = {"gpt2": ["n_embd", "n_layer", "n_head", "n_positions", "layer_norm_epsilon", "activation_function", "resid_pdrop"],
        "llama": ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
                  "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_parameters"]}


def check_config(folder, expected):
    config = json.loads((folder / "config.json").read_text())
    reference = json.loads((expected / "hf" / "config.json").read_text())
    keys = ["model_type", "architectures", "vocab_size", "tie_word_embeddings", "dtype", *KEYS[reference["model_type"]]]
    faults = [f"config.json: {k} is {config.get(k)}, expected {reference[k]}" for k in keys if config.get(k) != reference[k]]
    if config.get("torch_dtype") != config.get("dtype"):
        faults.append("config.json: torch_dtype, which transformers 4 reads, is not dtype")
    if reference["model_type"] == "llama" and config.get("rope_theta") != reference["rope_parameters"]["rope_theta"]:
        faults.append("config.json: rope_theta, which transformers 4 reads, is not that of rope_parameters")
    return faults


def check_in_transformers(folder, expected, tolerance, trained):
    """The faults and max |logit difference|."""
    import torch
    import transformers
    from safetensors.torch import load_file
    model, loading = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    faults = [f"transformers, {kind}: {sorted(map(str, found))}" for kind, found in loading.items() if found]
    if {p.dtype for p in model.parameters()} != {torch.float32}:
        faults.append("transformers did not read it as float32")
    ids = torch.tensor(json.loads((expected / "expected.json").read_text())["input_ids"])
    logits = load_file(expected / "expected.safetensors")["logits"]
    with torch.no_grad():
        difference = (model.eval()(input_ids=ids).logits - logits).abs().max().item()
    if not trained and not difference <= tolerance:
        faults.append(f"logits differ by {difference}, expected at most {tolerance}")
    return faults, f"in transformers {transformers.__version__}, max |logit difference| {difference:.3g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("expected", type=pathlib.Path)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--trained", action="store_true", help="the weights are others: only names, shapes, types and that it loads")
    arguments = parser.parse_args()
    faults, tensors = check_files(arguments.folder, arguments.expected, arguments.trained)
    faults += check_config(arguments.folder, arguments.expected)
    how = "not in transformers, which this Python lacks"
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import transformers  # noqa: F401
    except ImportError:
        pass
    else:
        more, how = check_in_transformers(arguments.folder, arguments.expected, arguments.tolerance, arguments.trained)
        faults += more
    print(*faults, f"{len(tensors)} tensors, {len(faults)} faults; {how}", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
