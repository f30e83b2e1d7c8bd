"""Where training starts from: nano-llava from nothing, nano-qwen from nano-llava as far as parts agree."""

import math
from dataclasses import replace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from arr_coc.eval.nano import MODELS
from arr_coc.eval.nano.build import N_VISUAL
from arr_coc.eval.nano.curriculum import ideal, ideal_planes
from arr_coc.eval.nano.design import LLAVA, Design
from arr_coc.eval.nano.learner import Nano
from arr_coc.eval.nano.lessons import Lessons
from arr_coc.eval.nano.scene import CELLS

COMMON = 0.3
"""Of what all words have in common: for attention by place. What differs is for attention by content."""


def start(nano: Nano) -> None:
    """Initial weights, in place."""
    with torch.no_grad():
        if nano.vlm.config.model_type == "llava":
            _from_nothing(nano.vlm, nano.design)
        else:
            _from_llava(nano)


def _from_nothing(vlm: Any, design: Design) -> None:
    hidden = vlm.config.text_config.hidden_size
    tower = vlm.model.vision_tower
    tower = getattr(tower, "vision_model", tower)
    tower.embeddings.patch_embedding.weight.mul_(4.0)
    tower.embeddings.position_embedding.weight[0].zero_()
    tower.embeddings.position_embedding.weight[1:] = 0.35 * _waves(math.isqrt(N_VISUAL), hidden)
    # The tower's last states are long: what is projected starts out short, or its units burn out.
    vlm.model.multi_modal_projector.linear_2.weight.mul_(0.05)
    for layer in tower.encoder.layers:
        # Mimetic (https://arxiv.org/abs/2305.09828): patches look at what is near and like them.
        layer.self_attn.q_proj.weight.mul_(2.0)
        layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)
    table = vlm.model.language_model.embed_tokens.weight
    table.copy_(_dictionary(design, hidden))
    _decoder(vlm)


def _decoder(vlm: Any) -> None:
    for i, layer in enumerate(vlm.model.language_model.layers):
        attention = layer.self_attn
        if i == 1:
            # "Look at what shares words with me": a word finds the patches that it names at once.
            attention.k_proj.weight.copy_(attention.q_proj.weight)
        else:
            attention.q_proj.weight.mul_(0.3)
        # "... and copy it". Branches start small beside words of norm 1, or they would drown them.
        attention.o_proj.weight.copy_(0.1 * attention.v_proj.weight.T)
        layer.mlp.down_proj.weight.mul_(0.1)


def _from_llava(nano: Nano) -> None:
    old = load_file(MODELS["nano-llava"] / "model.safetensors")
    _eyes(nano.vlm.model.visual, old)
    _language(nano.vlm.model.language_model, old)
    _sharpness(nano)


def _eyes(tower: Any, old: dict[str, Tensor]) -> None:
    """The trained patches, places and layers. Qwen's tower has no norm before its layers: it is folded in."""
    old = {key.split("vision_tower.")[-1].removeprefix("vision_model."): value for key, value in old.items()}
    pixels = Lessons(LLAVA, seed=0, stage=0, steps=1, batch=8, questions=0)[0].pixels
    patch, place = old["embeddings.patch_embedding.weight"], old["embeddings.position_embedding.weight"][1:]
    embedded = torch.nn.functional.conv2d(pixels, patch, stride=patch.shape[-1]).flatten(2).mT + place
    gain = (old["pre_layrnorm.weight"] / embedded.std(-1).mean())[:, None]
    patch, place = patch - patch.mean(0), place - place.mean(1, keepdim=True)
    frames = tower.patch_embed.proj.weight.shape[2]
    tower.patch_embed.proj.weight.copy_(
        (gain[:, None, None] * patch)[:, :, None].expand(-1, -1, frames, -1, -1) / frames
    )
    tower.patch_embed.proj.bias.copy_(old["pre_layrnorm.bias"])
    tower.pos_embed.weight.copy_(place * gain.T)
    for i, block in enumerate(tower.blocks):
        for kind in ("weight", "bias"):
            of = {key: old[f"encoder.layers.{i}.{key}.{kind}"] for key in _LAYER}
            getattr(block.norm1, kind).copy_(of["layer_norm1"])
            getattr(block.norm2, kind).copy_(of["layer_norm2"])
            getattr(block.attn.qkv, kind).copy_(torch.cat([of[f"self_attn.{x}_proj"] for x in "qkv"]))
            getattr(block.attn.proj, kind).copy_(of["self_attn.out_proj"])
            getattr(block.mlp.linear_fc1, kind).copy_(of["mlp.fc1"])
            getattr(block.mlp.linear_fc2, kind).copy_(of["mlp.fc2"])


_LAYER = (
    "layer_norm1", "layer_norm2", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
    "self_attn.out_proj", "mlp.fc1", "mlp.fc2",
)  # fmt: skip


def _language(language: Any, old: dict[str, Tensor]) -> None:
    """The trained words and layers; words that are new stand at right angles to the old ones."""
    old = {key.split("language_model.")[-1].removeprefix("model."): value for key, value in old.items()}
    known = old["embed_tokens.weight"]
    table = language.embed_tokens.weight
    free = torch.linalg.svd(known).Vh.flip(0)[: len(table) - len(known)]
    common = COMMON * table.shape[1] ** -0.5
    table.copy_(torch.cat([known, free - free.mean(1, keepdim=True) + common]))
    names = dict(language.named_parameters())
    for key, value in old.items():
        if key in names and key != "embed_tokens.weight":
            names[key].copy_(value)


def _sharpness(nano: Nano) -> None:
    """Qwen norms queries and keys, Llama does not: each norm's gain is their average length before it."""
    usual = replace(nano.design, sides=nano.design.sides[:1])
    batch = Lessons(usual, seed=0, stage=1, steps=1, batch=16, questions=20, seen=False)[0]
    tokens = ideal(nano, batch)
    everything = torch.arange(tokens.shape[1]).expand(len(tokens), -1)

    def measured(norm: Any, given: tuple[Tensor, ...]) -> None:
        norm.weight.fill_(given[0].square().mean(-1).sqrt().mean())

    layers = nano.vlm.model.language_model.layers
    norms = [norm for layer in layers for norm in (layer.self_attn.q_norm, layer.self_attn.k_norm)]
    hooks = [norm.register_forward_pre_hook(measured) for norm in norms]
    nano.read(tokens, ideal_planes(nano, batch), everything, batch, attend=False)
    for hook in hooks:
        hook.remove()


def _dictionary(design: Design, hidden: int) -> Tensor:
    """Orthonormal words, so that the length of a sum of words tells nothing: (words, hidden).

    Places are column + row, each on circles: a step to the left is one rotation anywhere.
    """
    words = len(design.ids)
    basis = torch.linalg.qr(torch.randn(hidden, hidden)).Q
    basis[0] = hidden**-0.5
    basis = torch.linalg.qr(basis.T).Q.T  # the first direction is the common one
    table = torch.zeros(words, hidden)
    others = torch.ones(words, dtype=torch.bool)
    others[design.words["cell"]] = False
    table[others] = basis[13 : 13 + int(others.sum())]
    turns = torch.arange(CELLS)[:, None] * torch.tensor([1.0, 2.0, 4.0]) * math.pi / CELLS
    circles = torch.cat([turns.cos(), turns.sin()], 1) * 6**-0.5  # (cells along a side, 6)
    columns, rows = circles @ basis[1:7], circles @ basis[7:13]
    table[design.words["cell"]] = (rows[:, None] + columns).flatten(0, 1)
    return table + COMMON * basis[0].abs()


def _waves(side: int, hidden: int) -> Tensor:
    """Sine and cosine waves over rows and columns: (side * side, hidden)."""
    rate = 1 / 100 ** (torch.arange(hidden // 4) / (hidden // 4))
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.cat([f(t.flatten()[:, None] * rate) for t in (x, y) for f in (torch.sin, torch.cos)], 1)
