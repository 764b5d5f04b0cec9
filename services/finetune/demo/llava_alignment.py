"""The projector of a LLaVA before its training: a patch becomes the sum of the words for what it shows.

features -> ridge regression onto word embeddings -> both layers of the projector

Picture tokens then begin in word space, and "circle" finds the circles before the first step. Trained by gradients, the
same takes minutes: the features are large and badly conditioned.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from services.finetune.demo import llava_network
from services.finetune.demo.facts import COLUMNS, CUTS, ROWS
from services.finetune.demo.llava_network import WIDTH, WORD_SPREAD
from services.finetune.demo.llava_tokenizer import SPACE
from services.finetune.demo.pictures import Truth
from services.finetune.demo.scenes import COLOURS
from services.finetune.demo.shapes import SHAPES

PLACE = 0.7  # weight of the words for a thing's place; those for colour and shape have 1
SIZE, USUAL = 4.0, 0.3  # weight of the direction for a thing's size, by how much it is above the usual one
BACKGROUND = 0.2  # weight of a patch without a thing in the regression
RIDGE = 1e-3


@torch.no_grad()
def align(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, seen: Tensor, truth: Truth
) -> float:
    """Set the projector from the features `seen` of the pictures that `truth` tells of.

    Returns the share of the words' variance that no linear map of the features explains.
    """
    aims, weights = _aims(llava_network.embeddings(model), tokenizer, truth)
    inputs, aims, weights = (values.flatten(0, 1).double() for values in (seen, aims, weights[..., None]))
    weights = weights / weights.sum()
    centre, middle = (inputs * weights).sum(0), (aims * weights).sum(0)
    inputs, aims = inputs - centre, aims - middle
    gram = (inputs * weights).T @ inputs
    ridge = gram + RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    linear = torch.linalg.solve(ridge, (inputs * weights).T @ aims)  # [width of the tower, width]
    _hold(model, linear, inputs, centre=centre, middle=middle)
    missed = ((inputs @ linear - aims).square() * weights).sum() / (aims.square() * weights).sum()
    return float(missed)


def _hold(
    model: LlavaForConditionalGeneration, linear: Tensor, inputs: Tensor, *, centre: Tensor, middle: Tensor
) -> None:
    """Two layers that hold a linear map exactly, since gelu(z) - gelu(-z) = z; `inputs` give its units their scale."""
    left, values, right = torch.linalg.svd(linear, full_matrices=False)
    rank = WIDTH // 2
    scale = (inputs @ left[:, :rank]).std(0).clamp(min=1e-6)
    down, up = (left[:, :rank] / scale).T, right[:rank].T * values[:rank] * scale
    projector = model.model.multi_modal_projector
    projector.linear_1.weight.copy_(torch.cat([down, -down]))
    projector.linear_1.bias.copy_(torch.cat([-down @ centre, down @ centre]))
    projector.linear_2.weight.copy_(torch.cat([up, -up], dim=1)).add_(1e-3 * torch.randn(WIDTH, WIDTH))
    projector.linear_2.bias.copy_(middle)


def _aims(words: Tensor, tokenizer: PreTrainedTokenizerFast, truth: Truth) -> tuple[Tensor, Tensor]:
    """Where each patch is to lie in word space, `[pictures, patches, width]`, and its weight in the regression."""
    centre, background, size = WORD_SPREAD * torch.randn(3, WIDTH)
    colours, shapes = (_rows(words, tokenizer, names) for names in (list(COLOURS), list(SHAPES)))
    large = truth.boxes[:, 2:].mean(1, keepdim=True) - USUAL
    things = colours[truth.colours] + shapes[truth.shapes] + PLACE * _places(words, tokenizer, truth)
    owned = truth.owners >= 0
    known = (things + SIZE * large * size)[truth.owners.clamp(min=0)]
    aims = torch.where(owned[..., None], known, background) + truth.flags[..., 1:] * centre
    return aims, torch.where(owned, 1.0, BACKGROUND)


def _places(words: Tensor, tokenizer: PreTrainedTokenizerFast, truth: Truth) -> Tensor:
    """The words for each thing's place: ` top` and ` left`, ` top`, or ` center`: `[things, width]`."""
    column, row = ((truth.boxes[:, axis, None] > torch.tensor(CUTS)).sum(1) for axis in (0, 1))
    rows, columns = (F.pad(_rows(words, tokenizer, names[::2]), (0, 0, 0, 1))[[0, 2, 1]] for names in (ROWS, COLUMNS))
    central = torch.logical_and(row == 1, column == 1)[:, None]
    return rows[row] + columns[column] + central * _rows(words, tokenizer, ["center"])


def _rows(words: Tensor, tokenizer: PreTrainedTokenizerFast, names: list[str] | tuple[str, ...]) -> Tensor:
    """The embeddings of words after a space, `[names, width]`."""
    return words[[tokenizer.convert_tokens_to_ids(SPACE + name) for name in names]]
