import torch

from services.finetune.demo.dense import OUTPUTS, WITHHELD_COLOUR, WITHHELD_SHAPE, dense_loss
from services.finetune.demo.pictures import PATCHES, WHOLE, WORLD, Truth, truth
from services.finetune.demo.scenes import COLOURS, scene
from services.finetune.demo.shapes import SHAPES
from services.finetune.demo.words import WITHHELD


def shown(count: int = 6) -> Truth:
    return truth([scene(WORLD, seed=2, index=index) for index in range(count)])


def perfect(told: Truth) -> torch.Tensor:
    """Outputs that tell every patch's thing without doubt."""
    outputs = torch.zeros(len(told.owners), PATCHES, sum(OUTPUTS))
    owned = told.owners >= 0
    things = told.owners[owned]
    shape = 50 * torch.eye(len(SHAPES))[told.shapes[things]]
    colour = 50 * torch.eye(len(COLOURS))[told.colours[things]]
    outputs[owned] = torch.cat([shape, colour, told.boxes[things], torch.zeros(len(things), 2)], 1)
    outputs[..., -2:] = 100 * told.flags - 50
    return outputs


def test_the_truth_costs_nothing_and_anything_else_does() -> None:
    told = shown()
    assert dense_loss(perfect(told), told).item() < 1e-4
    assert dense_loss(torch.zeros(len(told.owners), PATCHES, sum(OUTPUTS)), told).item() > 3


def test_the_withheld_shape_of_a_colour_is_no_wrong_answer() -> None:
    told = shown()
    outputs = perfect(told)
    owned = told.owners >= 0
    colours = told.colours[told.owners[owned]]
    rows = outputs[owned]
    rows[torch.arange(len(rows)), WITHHELD_SHAPE[colours]] = 1000.0
    outputs[owned] = rows

    assert dense_loss(outputs, told).item() < 1e-4


def test_the_tables_of_withheld_partners_agree_with_the_pairs() -> None:
    colours = list(COLOURS)
    for pair in WITHHELD:
        colour, shape = colours.index(pair.names[0]), SHAPES.index(pair.names[1])
        assert WITHHELD_SHAPE[colour] == shape
        assert WITHHELD_COLOUR[shape] == colour


def test_a_grey_picture_teaches_no_colour() -> None:
    told = truth([scene(WHOLE, seed=4, index=index) for index in range(4)])
    outputs = torch.zeros(4, PATCHES, sum(OUTPUTS), requires_grad=True)
    dense_loss(outputs, told, grey=torch.tensor([True, False, False, False])).backward()  # type: ignore[no-untyped-call]

    assert outputs.grad is not None
    colour = outputs.grad[..., len(SHAPES) : len(SHAPES) + len(COLOURS)]
    assert colour[0].abs().sum() == 0
    assert colour[1:].abs().sum() > 0
