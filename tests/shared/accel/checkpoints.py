"""Small random CLIPs in Hugging Face layout, as transformers writes them, and ways to spoil them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer, PreTrainedModel

torch.set_num_threads(1)

SIDE, LONGEST = 32, 16
Tensors = dict[str, torch.Tensor]


def tokenizer(vocabulary: int = 514) -> CLIPTokenizer:
    """CLIP's algorithm and marks around single characters, with `vocabulary` ids."""
    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *(character + "</w>" for character in alphabet)]
    tokens = [*tokens[: vocabulary - 2], *(f"word{n}" for n in range(vocabulary - 2 - len(tokens)))]
    ids = {token: number for number, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=ids, merges=[], pad_token="!", model_max_length=LONGEST)


def write_clip(folder: Path) -> Path:
    """A CLIP of two layers a tower with its processor and tokenizer."""
    torch.manual_seed(0)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = tower | {"vocab_size": 514, "max_position_embeddings": LONGEST, "bos_token_id": 512, "eos_token_id": 513}
    vision = tower | {"image_size": SIDE, "patch_size": 16}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)).save_pretrained(folder)
    write_processor(folder, SIDE)
    tokenizer().save_pretrained(folder)
    return folder


def shapes(architecture: type[PreTrainedModel], fields: dict[str, Any]) -> dict[str, list[int]]:
    """The tensors of a network of any size, by its config.json alone: no memory is taken."""
    config: Any = architecture.config_class
    with torch.device("meta"):
        return {
            name: list(tensor.shape) for name, tensor in architecture(config.from_dict(fields)).state_dict().items()
        }


def write_processor(folder: Path, side: int) -> None:
    CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}).save_pretrained(folder)


def change_json(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def change_tensors(folder: Path, change: Callable[[Tensors], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def to_pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def embeddings(folder: Path) -> list[torch.Tensor]:
    """What transformers makes of a picture and a text with the checkpoint in `folder`."""
    clip: Any = CLIPModel.from_pretrained(folder, dtype=torch.float32)
    picture = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    ids = torch.tensor([CLIPTokenizer.from_pretrained(folder)("ab c")["input_ids"]])
    with torch.inference_mode():
        return [clip.get_image_features(picture).pooler_output, clip.get_text_features(ids).pooler_output]
