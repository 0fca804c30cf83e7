"""What all sides of a comparison start from: a Hugging Face folder of fresh weights in fp32, and a file of tokens with something to learn in it.

    start.py --preset gpt2_124m --out FOLDER [--device cuda]      writes FOLDER/hf/ and FOLDER/tokens.u16
"""
import argparse
import json
import math
import pathlib
import struct

import torch

import gpt
import llama
from presets import PRESETS

TOKENS = 1 << 22
SEED = 1


def model_of(sizes):
    return gpt.Gpt(sizes) if sizes["family"] == "gpt2" else llama.Llama(sizes)


@torch.no_grad()
def fill(model, sizes):
    torch.manual_seed(SEED)
    into_stream = 0.02 / math.sqrt(2 * sizes["layers"]) if sizes["family"] == "gpt2" else 0.02
    for name, parameter in model.named_parameters():
        if parameter.dim() >= 2:
            parameter.normal_(std=into_stream if "c_proj" in name else 0.02)
        else:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)


def bytes_of(text):
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


def write_safetensors(tensors, path):
    """{name: tensor in fp32} as the format has it: the length of a JSON header, the header, the bytes one tensor after the other."""
    header, offset = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + tensor.numel() * 4]}
        offset += tensor.numel() * 4
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    head = struct.pack("<Q", len(text)) + text
    file = torch.from_file(str(path), shared=True, size=len(head) + offset, dtype=torch.uint8)
    file[:len(head)] = bytes_of(head)
    for name, tensor in tensors.items():
        begin, end = (len(head) + at for at in header[name]["data_offsets"])
        file[begin:end] = tensor.detach().float().contiguous().view(-1).view(torch.uint8).cpu()


@torch.no_grad()
def load(model, folder):
    """Copies the file's values into the model's parameters, rounded to their dtype; parameters of FSDP2 on one rank too."""
    path = pathlib.Path(folder) / "model.safetensors"
    content = torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)
    (length,) = struct.unpack("<Q", bytes(content[:8].tolist()))
    header = json.loads(bytes(content[8:8 + length].tolist()))
    for name, parameter in model.named_parameters():
        begin, end = (8 + length + offset for offset in header[name]["data_offsets"])
        local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
        local.copy_(content[begin:end].view(torch.float32).view(header[name]["shape"]))


def write_tokens(sizes, path):
    """Rarer the higher their number, so that the loss falls from the first step on; how fast they get rarer differs from window to window, so that another
    order of windows has other losses."""
    generator = torch.Generator().manual_seed(SEED)
    count = min(TOKENS, 1 << 18) if sizes["layers"] < 4 else TOKENS
    spread = torch.rand(count // sizes["positions"] + 1, generator=generator, dtype=torch.float64).repeat_interleave(sizes["positions"])[:count]
    drawn = (sizes["vocabulary"] ** (spread * torch.rand(count, generator=generator, dtype=torch.float64))).long() - 1
    follows = torch.rand(count, generator=generator) < 0.5
    tokens = drawn.clone()
    tokens[1:][follows[1:]] = (drawn[:-1][follows[1:]] * 7 + 3) % sizes["vocabulary"]
    torch.from_file(str(path), shared=True, size=count, dtype=torch.uint16)[:] = tokens.to(torch.uint16)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", choices=PRESETS, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    sizes = PRESETS[arguments.preset]
    with torch.device(arguments.device):
        model = model_of(sizes)
    fill(model, sizes)
    (arguments.out / "hf").mkdir(parents=True)
    config = gpt.config_of(sizes) if sizes["family"] == "gpt2" else llama.config_of(sizes)
    (arguments.out / "hf" / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    write_safetensors(dict(model.named_parameters()), arguments.out / "hf" / "model.safetensors")
    write_tokens(sizes, arguments.out / "tokens.u16")


if __name__ == "__main__":
    main()
