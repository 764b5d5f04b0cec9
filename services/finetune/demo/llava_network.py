"""The demo LLaVA: a trained tower, a projector into word space, and a small Llama; 3 million parameters.

It starts where learning is quick: word embeddings are large beside what a layer adds, forms of one word lie close
together, and every attention head looks for tokens like its own and copies them. `llava_alignment` sets the projector.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    OwlViTVisionModel,
    PreTrainedTokenizerFast,
)

from services.finetune.demo import tower
from services.finetune.demo.llava_packing import PACKED, Batch
from services.finetune.demo.llava_tokenizer import CHAT_TEMPLATE, LENGTH, image_id, stem
from services.finetune.demo.pictures import PATCH, PATCHES, SIDE

WIDTH, LAYERS, HEADS, INNER = 192, 4, 6, 512
SPREAD = 0.05  # of the weights
WORD_SPREAD = 0.5  # of the word embeddings
LIKENESS = 0.8  # share of a word's embedding that its forms have in common
SHARPNESS = 1.5  # how much larger than the keys a head's queries start
THETA = 1e7  # of the rotary positions: most of a head's numbers then compare content
NEW_TOKENS = 64  # of an answer; the longest that is learnt has 40


def build(vision: OwlViTVisionModel, tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """A LLaVA with a trained tower and a language model that knows no language yet."""
    model = LlavaForConditionalGeneration(_config(tokenizer))
    state = vision.vision_model.state_dict()
    # CLIP's pre_layrnorm keeps a misspelling of the first release.
    model.model.vision_tower.load_state_dict({n.replace("pre_layernorm", "pre_layrnorm"): v for n, v in state.items()})
    _start_words(model, tokenizer)
    _start_heads(model)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model.generation_config = GenerationConfig(**ids, max_new_tokens=NEW_TOKENS)  # type: ignore[no-untyped-call]
    return model


def processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """The middle of a picture, scaled to the tower's size, and the chat template."""
    return LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the class token, which the strategy takes away again
        chat_template=CHAT_TEMPLATE,
    )


def features(model: LlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """What the projector is given, `[pictures, patches, width of the tower]`."""
    hidden: Tensor = model.model.vision_tower(pixels).last_hidden_state
    return hidden[:, 1:]


def embeddings(model: LlavaForConditionalGeneration) -> Tensor:
    """The word embeddings `[vocabulary, width]`, which are the logits' weights as well."""
    table: nn.Embedding = model.model.language_model.embed_tokens
    return table.weight


def answers(model: LlavaForConditionalGeneration, batch: Batch, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Logits `[answer tokens, vocabulary]` of a packed batch and the tokens that are right, from `features` `seen`."""
    words, language = embeddings(model), model.model.language_model
    patches = model.model.multi_modal_projector(seen)
    shown = (batch.ids == model.config.image_token_index)[..., None]
    inputs = F.embedding(batch.ids, words).masked_scatter(shown, patches)
    language.config._attn_implementation = PACKED
    hidden = language(
        inputs_embeds=inputs, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
    ).last_hidden_state
    language.config._attn_implementation = "sdpa"
    right = batch.labels[:, 1:]
    told = right >= 0
    return hidden[:, :-1][told] @ words.T, right[told]


def _config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    return LlavaConfig(
        vision_config=CLIPVisionConfig(**tower.config()),
        text_config=_text_config(tokenizer),
        image_token_index=image_id(tokenizer),
        image_seq_length=PATCHES,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )


def _text_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=LENGTH,
        initializer_range=SPREAD,
        rope_parameters={"rope_type": "default", "rope_theta": THETA},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


@torch.no_grad()
def _start_words(model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    words = embeddings(model)
    shared: dict[str, Tensor] = {}
    for number, token in enumerate(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))):
        common = shared.setdefault(stem(token), torch.randn(WIDTH))
        words[number] = WORD_SPREAD * (LIKENESS**0.5 * common + (1 - LIKENESS) ** 0.5 * torch.randn(WIDTH))
    model.model.language_model.norm.weight.fill_(SPREAD / WORD_SPREAD)  # so that the logits stay small


@torch.no_grad()
def _start_heads(model: LlavaForConditionalGeneration) -> None:
    for layer in model.model.language_model.layers:
        attention = layer.self_attn
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        attention.q_proj.weight.mul_(SHARPNESS)
        attention.o_proj.weight.copy_(attention.v_proj.weight.T)
