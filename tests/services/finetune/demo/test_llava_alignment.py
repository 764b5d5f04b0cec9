import torch
from torch import nn

from services.finetune.demo import llava_network, llava_tokenizer, tower
from services.finetune.demo.llava_alignment import align
from services.finetune.demo.llava_tokenizer import SPACE
from services.finetune.demo.pictures import WHOLE, Dataset
from services.finetune.demo.scenes import COLOURS
from services.finetune.demo.shapes import SHAPES

TOKENIZER = llava_tokenizer.build()
DATA = Dataset([WHOLE], seed=6, count=40)


def test_features_that_tell_a_thing_become_its_words() -> None:
    torch.manual_seed(0)
    model = llava_network.build(tower.build(), TOKENIZER)
    truth = DATA.truth(range(40))
    owned = truth.owners >= 0
    things = truth.owners.clamp(min=0)
    told = torch.cat([nn.functional.one_hot(truth.shapes, 8), nn.functional.one_hot(truth.colours, 8)], dim=1).float()
    seen = torch.cat([torch.where(owned[..., None], told[things], 0.0), 0.01 * torch.randn(40, 64, 112)], dim=-1)
    left = align(model, TOKENIZER, seen, truth)
    with torch.no_grad():
        patches = model.model.multi_modal_projector(seen)[owned]

    assert 0 < left < 0.5  # the place is not among the features
    for names, ids in ((SHAPES, truth.shapes), (tuple(COLOURS), truth.colours)):
        words = llava_network.embeddings(model)[[TOKENIZER.convert_tokens_to_ids(SPACE + name) for name in names]]
        assert ((patches @ words.T).argmax(1) == ids[truth.owners[owned]]).float().mean() > 0.95
