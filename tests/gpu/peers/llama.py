"""A LLaMA as anyone would write it in PyTorch, with the names and layouts of a Hugging Face folder."""
import torch
from torch import nn
from torch.nn import functional as F

THETA, EPSILON = 10000.0, 1e-6


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


def rotate(x, cosine, sine):
    """x [batch, heads, length, width]: pairs are (i, i + width / 2)."""
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


class Attention(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        hidden = sizes["hidden"]
        self.heads, self.kv_heads, self.width = sizes["heads"], sizes["kv_heads"], hidden // sizes["heads"]
        self.q_proj, self.o_proj = linear(hidden, hidden), linear(hidden, hidden)
        self.k_proj, self.v_proj = (linear(hidden, self.kv_heads * self.width) for _ in range(2))

    def forward(self, x, cosine, sine):
        batch, length, _ = x.shape
        q, k, v = (projected.view(batch, length, heads, self.width).transpose(1, 2) for projected, heads in
                   ((self.q_proj(x), self.heads), (self.k_proj(x), self.kv_heads), (self.v_proj(x), self.kv_heads)))
        mixed = F.scaled_dot_product_attention(rotate(q, cosine, sine), rotate(k, cosine, sine), v, is_causal=True, enable_gqa=self.kv_heads != self.heads)
        return self.o_proj(mixed.transpose(1, 2).reshape(x.shape))


class Mlp(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.gate_proj, self.up_proj = (linear(sizes["hidden"], sizes["inner"]) for _ in range(2))
        self.down_proj = linear(sizes["inner"], sizes["hidden"])

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = (nn.RMSNorm(sizes["hidden"], EPSILON) for _ in range(2))
        self.self_attn, self.mlp = Attention(sizes), Mlp(sizes)

    def forward(self, x, cosine, sine):
        x = x + self.self_attn(self.input_layernorm(x), cosine, sine)
        return x + self.mlp(self.post_attention_layernorm(x))


class Transformer(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.width = sizes["hidden"] // sizes["heads"]
        self.embed_tokens = nn.Embedding(sizes["vocabulary"], sizes["hidden"])
        self.layers = nn.ModuleList(Block(sizes) for _ in range(sizes["layers"]))
        self.norm = nn.RMSNorm(sizes["hidden"], EPSILON)

    def forward(self, tokens):
        x = self.embed_tokens(tokens)
        frequencies = THETA ** (-torch.arange(0, self.width, 2, device=x.device, dtype=torch.float32) / self.width)
        angles = torch.outer(torch.arange(tokens.shape[1], device=x.device, dtype=torch.float32), frequencies)
        cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        for block in self.layers:
            x = block(x, cosine, sine)
        return self.norm(x)


class Llama(nn.Module):
    """The mean loss of predicting targets."""

    def __init__(self, sizes):
        super().__init__()
        self.model, self.lm_head = Transformer(sizes), linear(sizes["hidden"], sizes["vocabulary"])

    @property
    def blocks(self):
        return self.model.layers

    def forward(self, tokens, targets):
        return F.cross_entropy(self.lm_head(self.model(tokens)).flatten(0, 1).float(), targets.flatten())


def config_of(sizes):
    return {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "vocab_size": sizes["vocabulary"],
            "hidden_size": sizes["hidden"], "intermediate_size": sizes["inner"], "num_hidden_layers": sizes["layers"],
            "num_attention_heads": sizes["heads"], "num_key_value_heads": sizes["kv_heads"], "head_dim": sizes["hidden"] // sizes["heads"],
            "max_position_embeddings": sizes["positions"], "rms_norm_eps": EPSILON, "rope_theta": THETA, "attention_bias": False, "mlp_bias": False,
            "tie_word_embeddings": False}
