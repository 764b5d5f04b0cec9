"""The language model of LLaVA, a Llama, over tokens of many sequences at once.

tokens of all chunks in one row -> layer by layer: norm, queries, keys and values -> into the blocks
    -> each group of rows attends to its own blocks -> out and gated layers -> norm -> logits of the last tokens

The linear layers see all tokens together, whoever they belong to, so nothing is padded. The weights are those of
transformers' module, with the layers that read the same input joined.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.llava.memory import Group, Layout, Memory
from shared.accel.placed import turned


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of one layer; `incoming` makes queries, keys and values, `gated` the gate and what it lets pass."""

    before: Tensor
    incoming: tuple[Tensor, Tensor | None]
    outgoing: tuple[Tensor, Tensor | None]
    between: Tensor
    gated: tuple[Tensor, Tensor | None]
    down: tuple[Tensor, Tensor | None]


class Network:
    """A Llama on a device, read from transformers' `LlavaForConditionalGeneration`."""

    def __init__(self, llava: Any, *, context: int) -> None:
        """`context` is the longest position, and bounds the rotary tables."""
        llama = llava.model.language_model
        self.config = llama.config
        self.embeddings: Tensor = llama.embed_tokens.weight.contiguous()  # which a turned head may share
        self.head: Tensor = llava.lm_head.weight
        self._layers = [_layer(each) for each in llama.layers]
        self._norm: Tensor = llama.norm.weight
        positions = torch.arange(context, device=self.embeddings.device)[None]
        cos, sin = llama.rotary_emb(self.embeddings, positions)
        left, right = sin.chunk(2, dim=-1)
        self._cos, self._sin = cos[0, :, None], torch.cat([-left, right], dim=-1)[0, :, None]  # [context, 1, width]

    @torch.inference_mode()
    def forward(self, hidden: Tensor, layout: Layout, memory: Memory, last: Tensor) -> Tensor:
        """Embedded tokens `[t, d]` of a step -> logits `[n, vocabulary]` of the tokens `last`, as float32."""
        turn = self._cos.index_select(0, layout.positions), self._sin.index_select(0, layout.positions)
        for index, layer in enumerate(self._layers):
            hidden = hidden + self._attend(index, layer, self._normed(hidden, layer.before), turn, layout, memory)
            gate, through = F.linear(self._normed(hidden, layer.between), *layer.gated).chunk(2, dim=-1)
            hidden = hidden + F.linear(F.silu(gate) * through, *layer.down)
        return F.linear(self._normed(hidden[last], self._norm), self.head).float()

    def _attend(
        self, index: int, layer: Layer, hidden: Tensor, turn: tuple[Tensor, Tensor], layout: Layout, memory: Memory
    ) -> Tensor:
        heads, shared, width = self.config.num_attention_heads, memory.heads, memory.width
        joined = F.linear(hidden, *layer.incoming).view(len(hidden), -1, width)
        pointed, values = torch.split(joined, [heads + shared, shared], dim=1)
        queries, keys = torch.split(_rotated(pointed, *turn), [heads, shared], dim=1)
        memory.write(index, layout, keys, values)
        seen = [_see(queries[g.start : g.stop], g, *memory.read(index, g)) for g in layout.groups]
        return F.linear(torch.cat(seen) if len(seen) > 1 else seen[0], *layer.outgoing)

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(hidden, weight.shape, weight, self.config.rms_norm_eps)


def _see(queries: Tensor, group: Group, keys: Tensor, values: Tensor) -> Tensor:
    """Queries `[n * q, heads, width]` of one group -> what they read, `[n * q, heads * width]`."""
    apart = queries.view(group.count, -1, *queries.shape[1:]).transpose(1, 2)
    grouped = keys.shape[1] != apart.shape[1]
    out = F.scaled_dot_product_attention(apart, keys, values, attn_mask=group.mask, enable_gqa=grouped)
    return out.transpose(1, 2).reshape(len(queries), -1)


def _rotated(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (https://arxiv.org/abs/2104.09864), in the halves that Llama uses; `sin` has signs."""
    return torch.addcmul(heads * cos, heads.roll(heads.shape[-1] // 2, dims=-1), sin)


def _layer(layer: Any) -> Layer:
    attention, mlp = layer.self_attn, layer.mlp
    return Layer(
        layer.input_layernorm.weight,
        _joined(attention.q_proj, attention.k_proj, attention.v_proj),
        _joined(attention.o_proj),
        layer.post_attention_layernorm.weight,
        _joined(mlp.gate_proj, mlp.up_proj),
        _joined(mlp.down_proj),
    )


def _joined(*layers: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Several layers as one; they see its weights from now on, so that nothing is held twice."""
    weights, biases = [each.weight for each in layers], [each.bias for each in layers]
    weight = turned(torch.cat(weights)) if len(weights) > 1 else weights[0]
    bias = torch.cat([each for each in biases if each is not None]) if biases[0] is not None else None
    for each, part in zip(layers, torch.split(weight, [each.out_features for each in layers]), strict=True):
        each.weight.data = part
    return weight, bias
