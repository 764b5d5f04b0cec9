"""The text tower of the demo CLIP and OWL-ViT, which have the same one: texts -> unit embeddings."""

from collections.abc import Sequence
from random import Random
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer, OwlViTModel

from services.finetune.demo.codes import Codes, distance
from services.finetune.demo.learner import Learner, Rates
from services.finetune.demo.progress import Progress
from services.finetune.demo.words import QUERIES, text_only, wording

WIDTH, LAYERS, HEADS = 128, 3, 4
BATCH = 64
RATES = Rates(muon={"": 4e-3}, adam={"": 2e-3})


def config(tokenizer: CLIPTokenizer) -> dict[str, Any]:
    """What the text towers' configurations of both models have in common; 0.7 million parameters."""
    return {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": tokenizer.model_max_length,
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def embed(model: CLIPModel | OwlViTModel, tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """Unit embeddings `[texts, width]`; a text that is too long is cut."""
    tokens = tokenizer(list(texts), padding="longest", truncation=True, return_tensors="pt")
    pooled = model.text_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output
    embeddings: Tensor = F.normalize(model.text_projection(pooled), dim=-1)
    return embeddings


def learn_codes(model: OwlViTModel, tokenizer: CLIPTokenizer, *, codes: Codes, steps: int, seed: int) -> None:
    """Teach the text tower alone to say the code of every query, half of them with words that are never drawn."""
    nn.init.normal_(model.text_model.embeddings.token_embedding.weight, std=0.1)
    learner = Learner(nn.ModuleList([model.text_model, model.text_projection]), RATES, steps=steps)
    progress, rng = Progress("texts", steps), Random(f"{seed}/texts")
    for step in range(steps):
        queries = [*rng.sample(QUERIES, BATCH // 2), *text_only(BATCH // 2, rng)]
        loss = distance(embed(model, tokenizer, [wording(query, rng) for query in queries]), codes.of(queries))
        learner.step(loss)
        progress.tell(step + 1, f"loss {loss.item():.5f}")
