"""The peers' own networks, written down once more for the tests: layers and names as released, nothing of ours.

Show-o's tokenizer is a list of layers walked by hand; LLaDA is a function of its tensors, attention written out.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]

WORDS, VISUAL, TEXT, MASK = 126464, 8192, 126349, 126336


# -- showlab/magvitv2 ---------------------------------------------------------------------------------------


def showlab(bits=13, width=32, encoder=(1, 2), decoder=(1, 2), encoder_blocks=(2, 1), decoder_blocks=(1, 2)) -> Tensors:
    """Random weights under the released names, small. Tuples are multiples of `width`, and blocks, of each level."""
    random = torch.Generator().manual_seed(1)
    tensors: Tensors = {}

    def conv(name, c_in, c_out, side):
        tensors[f"{name}.weight"] = torch.randn(c_out, c_in, side, side, generator=random) / math.sqrt(c_in * side**2)
        tensors[f"{name}.bias"] = 0.1 * torch.randn(c_out, generator=random)

    def norm(name, channels):
        tensors[f"{name}.weight"] = 1 + 0.2 * torch.randn(channels, generator=random)
        tensors[f"{name}.bias"] = 0.2 * torch.randn(channels, generator=random)

    def block(name, c_in, c_out):
        norm(f"{name}.norm1", c_in)
        conv(f"{name}.conv1", c_in, c_out, 3)
        norm(f"{name}.norm2", c_out)
        conv(f"{name}.conv2", c_out, c_out, 3)
        if c_in != c_out:
            conv(f"{name}.nin_shortcut", c_in, c_out, 1)

    def middle(name, channels):
        block(f"{name}.block_1", channels, channels)
        norm(f"{name}.attn_1.norm", channels)
        for part in ("q", "k", "v", "proj_out"):
            conv(f"{name}.attn_1.{part}", channels, channels, 1)
        block(f"{name}.block_2", channels, channels)

    conv("encoder.conv_in", 3, width, 3)
    c = width
    for level, (times, blocks) in enumerate(zip(encoder, encoder_blocks, strict=True)):
        for index in range(blocks):
            block(f"encoder.down.{level}.block.{index}", c, width * times)
            c = width * times
        if level + 1 < len(encoder):
            conv(f"encoder.down.{level}.downsample.conv", c, c, 3)
    middle("encoder.mid", c)
    norm("encoder.norm_out", c)
    conv("encoder.conv_out", c, bits, 3)
    conv("encoder.quant_conv", bits, bits, 1)
    c = width * decoder[-1]
    conv("decoder.conv_in", bits, c, 3)
    middle("decoder.mid", c)
    for level in reversed(range(len(decoder))):
        for index in range(decoder_blocks[level]):
            block(f"decoder.up.{level}.block.{index}", c, width * decoder[level])
            c = width * decoder[level]
        if level:
            conv(f"decoder.up.{level}.upsample.conv", c, c, 3)
    norm("decoder.norm_out", c)
    conv("decoder.conv_out", c, 3, 3)
    conv("decoder.post_quant_conv", bits, bits, 1)
    powers = torch.tensor([2**place for place in reversed(range(bits))])
    tensors["quantize.power_vals"] = powers
    tensors["quantize.embedding"] = torch.tensor(
        [[1.0 if code // int(power) % 2 else -1.0 for power in powers] for code in range(2**bits)]
    )
    return tensors


def _conv(tensors, name, x, stride=1, padding=0):
    return F.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], stride, padding)


def _norm(tensors, name, x):
    return F.group_norm(x, 32, tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps=1e-6)


def _swish(x):
    return x * torch.sigmoid(x)


def _block(tensors, name, x):
    y = _conv(tensors, f"{name}.conv1", _swish(_norm(tensors, f"{name}.norm1", x)), padding=1)
    y = _conv(tensors, f"{name}.conv2", _swish(_norm(tensors, f"{name}.norm2", y)), padding=1)
    if f"{name}.nin_shortcut.weight" in tensors:
        x = _conv(tensors, f"{name}.nin_shortcut", x)
    return x + y


def _middle(tensors, name, x):
    x = _block(tensors, f"{name}.block_1", x)
    y = _norm(tensors, f"{name}.attn_1.norm", x)
    q, k, v = (_conv(tensors, f"{name}.attn_1.{part}", y).flatten(2) for part in "qkv")
    weights = torch.softmax(torch.einsum("nci,ncj->nij", q, k) / math.sqrt(q.shape[1]), dim=-1)
    attended = torch.einsum("nij,ncj->nci", weights, v).reshape(x.shape)
    x = x + _conv(tensors, f"{name}.attn_1.proj_out", attended)
    return _block(tensors, f"{name}.block_2", x)


def _levels(tensors, levels):
    return sorted({int(name.split(".")[2]) for name in tensors if name.startswith(f"{levels}.")})


def showlab_tokens(tensors: Tensors, pixels: torch.Tensor) -> torch.Tensor:
    """Pixels [n, 3, h, w] in [-1, 1] to tokens [n, rows, columns]."""
    x = _conv(tensors, "encoder.conv_in", pixels, padding=1)
    for level in _levels(tensors, "encoder.down"):
        index = 0
        while f"encoder.down.{level}.block.{index}.conv1.weight" in tensors:
            x = _block(tensors, f"encoder.down.{level}.block.{index}", x)
            index += 1
        if f"encoder.down.{level}.downsample.conv.weight" in tensors:
            x = _conv(tensors, f"encoder.down.{level}.downsample.conv", F.pad(x, (0, 1, 0, 1)), stride=2)
    x = _swish(_norm(tensors, "encoder.norm_out", _middle(tensors, "encoder.mid", x)))
    z = _conv(tensors, "encoder.quant_conv", _conv(tensors, "encoder.conv_out", x, padding=1))
    return torch.einsum("nchw,c->nhw", (z > 0).long(), tensors["quantize.power_vals"])


def showlab_pixels(tensors: Tensors, tokens: torch.Tensor) -> torch.Tensor:
    """Tokens [n, rows, columns] to pixels in [-1, 1]."""
    z = tensors["quantize.embedding"][tokens].permute(0, 3, 1, 2)
    x = _conv(tensors, "decoder.conv_in", _conv(tensors, "decoder.post_quant_conv", z), padding=1)
    x = _middle(tensors, "decoder.mid", x)
    for level in reversed(_levels(tensors, "decoder.up")):
        index = 0
        while f"decoder.up.{level}.block.{index}.conv1.weight" in tensors:
            x = _block(tensors, f"decoder.up.{level}.block.{index}", x)
            index += 1
        if level:
            x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            x = _conv(tensors, f"decoder.up.{level}.upsample.conv", x, padding=1)
    x = _conv(tensors, "decoder.conv_out", _swish(_norm(tensors, "decoder.norm_out", x)), padding=1)
    return x.clamp(-1, 1)


# -- LLaDA and MMaDA ----------------------------------------------------------------------------------------

LLADA = {
    "model_type": "llada", "block_type": "llama", "d_model": 32, "n_layers": 2, "n_heads": 2, "n_kv_heads": 2,
    "mlp_hidden_size": 48, "vocab_size": WORDS, "embedding_size": WORDS, "mask_token_id": MASK, "rope": True,
    "rope_theta": 500000.0, "rms_norm_eps": 1e-5, "weight_tying": False, "include_bias": False,
    "activation_type": "silu", "alibi": False, "layer_norm_type": "rms",
}  # fmt: skip
MMADA = LLADA | {"model_type": "mmada", "vocab_size": WORDS + VISUAL, "embedding_size": WORDS + VISUAL}


def llada(config=LLADA, dtype=torch.float32) -> Tensors:
    """Random weights under the released names: the real number of rows, small everything else."""
    random = torch.Generator().manual_seed(2)
    width, hidden = config["d_model"], config["mlp_hidden_size"]

    def normal(*shape, std=0.2):
        return (std * torch.randn(*shape, generator=random)).to(dtype)

    tensors = {
        "model.transformer.wte.weight": normal(config["embedding_size"], width, std=1.0),
        "model.transformer.ln_f.weight": 1 + normal(width),
        "model.transformer.ff_out.weight": normal(config["embedding_size"], width),
    }
    for layer in range(config["n_layers"]):
        shapes = {
            "q_proj": (width, width), "k_proj": (width, width), "v_proj": (width, width), "attn_out": (width, width),
            "ff_proj": (hidden, width), "up_proj": (hidden, width), "ff_out": (width, hidden),
        }  # fmt: skip
        for name, shape in shapes.items():
            tensors[f"model.transformer.blocks.{layer}.{name}.weight"] = normal(*shape)
        for name in ("attn_norm", "ff_norm"):
            tensors[f"model.transformer.blocks.{layer}.{name}.weight"] = 1 + normal(width)
    return tensors


def llada_logits(config, tensors: Tensors, ids: torch.Tensor) -> torch.Tensor:
    """Logits [batch, length, rows] of ids [batch, length]; every place attends to all."""
    heads, size = config["n_heads"], config["d_model"] // config["n_heads"]
    own = {name.removeprefix("model.transformer."): tensor.float() for name, tensor in tensors.items()}

    def norm(x, weight):
        return weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + config["rms_norm_eps"])

    place = torch.arange(ids.shape[1], dtype=torch.float64)
    speed = 1.0 / config["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float64) / size)
    angle = torch.cat([place[:, None] * speed] * 2, dim=-1)

    def turned(x):
        half = torch.cat([-x[..., size // 2 :], x[..., : size // 2]], dim=-1)
        return (x * angle.cos() + half * angle.sin()).float()

    x = own["wte.weight"][ids]
    for layer in range(config["n_layers"]):
        block = {name.split(".", 2)[2]: t for name, t in own.items() if name.startswith(f"blocks.{layer}.")}
        y = norm(x, block["attn_norm.weight"])
        q, k, v = ((y @ block[f"{name}_proj.weight"].T).view(*ids.shape, heads, size).transpose(1, 2) for name in "qkv")
        weights = torch.softmax(turned(q) @ turned(k).transpose(2, 3) / math.sqrt(size), dim=-1)
        x = x + (weights @ v).transpose(1, 2).flatten(2) @ block["attn_out.weight"].T
        y = norm(x, block["ff_norm.weight"])
        x = x + (_swish(y @ block["ff_proj.weight"].T) * (y @ block["up_proj.weight"].T)) @ block["ff_out.weight"].T
    return norm(x, own["ln_f.weight"]) @ own["ff_out.weight"].T


def write_shards(folder: Path, tensors: Tensors, config: dict, files: int = 3) -> Path:
    """A folder as the hub has it: shards, their index and `config.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(tensors)
    where: dict[str, str] = {}
    for number in range(files):
        file = f"model-{number + 1:05d}-of-{files:05d}.safetensors"
        mine = names[number::files]
        save_file({name: tensors[name] for name in mine}, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(mine, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    (folder / "config.json").write_text(json.dumps(config))
    return folder
