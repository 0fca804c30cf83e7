"""A GPT-2 as anyone would write it in PyTorch, with the names and layouts of a Hugging Face folder."""
import torch
from torch import nn
from torch.nn import functional as F


class Conv1D(nn.Module):
    """x W + b, the weight as GPT-2 keeps it: [in, out]."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(inputs, outputs)), nn.Parameter(torch.empty(outputs))

    def forward(self, x):
        return F.linear(x, self.weight.t(), self.bias)


class Attention(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.heads = sizes["heads"]
        self.c_attn, self.c_proj = Conv1D(sizes["hidden"], 3 * sizes["hidden"]), Conv1D(sizes["hidden"], sizes["hidden"])

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in self.c_attn(x).split(width, 2))
        return self.c_proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape))


class Mlp(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(sizes["hidden"], 4 * sizes["hidden"]), Conv1D(4 * sizes["hidden"], sizes["hidden"])

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(sizes["hidden"]), nn.LayerNorm(sizes["hidden"])
        self.attn, self.mlp = Attention(sizes), Mlp(sizes)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(sizes["vocabulary"], sizes["hidden"]), nn.Embedding(sizes["positions"], sizes["hidden"])
        self.h = nn.ModuleList(Block(sizes) for _ in range(sizes["layers"]))
        self.ln_f = nn.LayerNorm(sizes["hidden"])

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


class Gpt(nn.Module):
    """The mean loss of predicting targets; logits are tied to the token embedding."""

    def __init__(self, sizes):
        super().__init__()
        self.transformer = Transformer(sizes)

    @property
    def blocks(self):
        return self.transformer.h

    def forward(self, tokens, targets):
        logits = F.linear(self.transformer(tokens), self.transformer.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def config_of(sizes):
    return {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new", "vocab_size": sizes["vocabulary"],
            "n_embd": sizes["hidden"], "n_layer": sizes["layers"], "n_head": sizes["heads"], "n_positions": sizes["positions"], "n_inner": None,
            "layer_norm_epsilon": 1e-5, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "tie_word_embeddings": True}
