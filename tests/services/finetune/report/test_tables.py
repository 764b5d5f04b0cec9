"""Scores before and after: green is what became better."""

from services.finetune.comparison import Row
from services.finetune.report.tables import changes


def kind(row: Row, *, of: str = "") -> str:
    """How the change of a row is coloured."""
    told = changes("scores", [row], of=of)
    found = [name for name in ("better", "worse") if f'class="{name}"' in told]
    return found[0] if found else "plain"


def test_more_is_better_but_for_what_is_to_be_small() -> None:
    assert kind(Row("ap50", 0.5, 0.6)) == kind(Row("loss", 0.6, 0.5)) == kind(Row("space_shift", 0.2, 0.1)) == "better"
    assert kind(Row("ap50", 0.6, 0.5)) == kind(Row("loss", 0.5, 0.6)) == kind(Row("space_shift", 0.1, 0.2)) == "worse"
    assert kind(Row("space_shift", None, 0.1)) == kind(Row("ap50", 0.5, 0.5)) == "plain"


def test_a_class_goes_the_way_of_its_score_whatever_its_name() -> None:
    assert kind(Row("exact_match/loss", 0.5, 0.6), of="exact_match") == "better"
    assert kind(Row("loss/circle", 0.5, 0.6), of="loss") == "worse"
    assert ">circle<" in changes("by class", [Row("loss/circle", 0.5, 0.6)], of="loss")
