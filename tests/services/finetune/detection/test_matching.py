from pathlib import Path

from services.finetune.data.examples import Box, DetectionExample, Place, Source
from services.finetune.detection.matching import NOTHING, confusion, match
from shared.images.detections import Detection, Detections

A, B, FAR = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0), (60.0, 60.0, 70.0, 70.0)


def truth(*objects: tuple[str, Box]) -> DetectionExample:
    labels, boxes = tuple(label for label, _ in objects), tuple(box for _, box in objects)
    return DetectionExample(Source(Path("a.png")), (100, 100), boxes, labels, None, Place(Path("a.json")))


def found(*answers: tuple[str, Box, float]) -> Detections:
    best_first = sorted(answers, key=lambda answer: -answer[2])
    return Detections(100, 100, tuple(Detection(box, label, 1, score) for label, box, score in best_first))


def test_a_right_answer_is_no_mistake() -> None:
    matches = match(truth(("cat", A), ("dog", B)), found(("dog", B, 0.9), ("cat", A, 0.6)))
    assert sorted(matches.pairs) == [("cat", "cat"), ("dog", "dog")]
    assert matches.mistakes == 0


def test_a_wrong_name_a_miss_and_an_invention_are_one_mistake_each() -> None:
    matches = match(truth(("cat", A), ("dog", B)), found(("dog", A, 0.9), ("cat", FAR, 0.8)))
    assert sorted(matches.pairs) == [("cat", "dog"), ("dog", NOTHING), (NOTHING, "cat")]
    assert matches.mistakes == 3


def test_an_object_is_meant_once_by_the_surest_answer() -> None:
    matches = match(truth(("cat", A)), found(("cat", A, 0.6), ("dog", A, 0.9)))
    assert sorted(matches.pairs) == [("cat", "dog"), (NOTHING, "cat")]


def test_what_a_request_would_not_be_told_does_not_count() -> None:
    assert match(truth(("cat", A)), found(("cat", A, 0.49))).pairs == (("cat", NOTHING),)


def test_an_overlap_of_less_than_a_half_means_another_thing() -> None:
    half = (0.0, 0.0, 10.0, 4.9)
    assert match(truth(("cat", A)), found(("cat", half, 0.9))).mistakes == 2


def test_a_picture_of_nothing_in_which_nothing_is_found_is_right() -> None:
    assert match(truth(), found()).pairs == ()


def test_counts_of_all_pictures_add_up_with_rows_for_what_is() -> None:
    one = match(truth(("cat", A)), found(("dog", A, 0.9)))
    other = match(truth(("cat", A), ("cat", B)), found(("cat", A, 0.9)))
    told = confusion([one, other], ["dog", "cat", "never"])

    assert told.names == ["dog", "cat", NOTHING]
    assert told.counts == [[0, 0, 0], [1, 1, 1], [0, 0, 0]]
