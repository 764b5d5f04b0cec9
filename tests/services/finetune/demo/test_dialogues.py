from random import Random

from services.finetune.demo import dialogues
from services.finetune.demo.facts import KINDS
from services.finetune.demo.pictures import WHOLE, draw

ALL = dict.fromkeys(KINDS, 1.0)
SCENES = [draw([WHOLE], seed=9, index=index) for index in range(2)]


def test_a_conversation_has_one_to_three_turns_and_no_question_twice() -> None:
    said = [dialogues.conversation(SCENES[0], ALL, Random(n)) for n in range(300)]
    lengths = [len(turns) for turns in said]

    assert set(lengths) == {1, 2, 3}
    assert lengths.count(1) > 150
    assert all(len({turn.question for turn in turns}) == len(turns) for turns in said)


def test_the_weights_say_what_is_asked() -> None:
    kinds = {dialogues.turn(SCENES[0], {"total": 1.0, "caption": 1.0}, Random(n)).kind for n in range(50)}
    assert kinds == {"total", "caption"}


def test_a_question_about_two_pictures_is_answered_from_the_one_it_means() -> None:
    said = [turn for n in range(300) for turn in dialogues.about_two(SCENES, ALL, Random(n))]
    totals = {turn.kind: turn.answer for turn in said if turn.kind.endswith("_total")}
    numbers = ("Zero", "One", "Two", "Three", "Four", "Five", "Six")

    assert totals == {
        f"{ordinal}_total": f"{numbers[len(scene.things)]}."
        for ordinal, scene in zip(("first", "second"), SCENES, strict=True)
    }
    assert {turn.answer for turn in said if turn.kind == "which"} >= {"The first one.", "The second one."}
    assert {turn.answer for turn in said if turn.kind == "pictures"} == {"Two."}


def test_the_picture_that_shows_a_thing_is_the_one_that_has_it() -> None:
    shapes = [{thing.shape for thing in scene.things} for scene in SCENES]
    for n in range(300):
        for turn in dialogues.about_two(SCENES, ALL, Random(n)):
            asked = turn.question.lower().rstrip("?").split()
            if turn.kind == "which" and asked[-2] in {"a", "an"} and asked[-1] in shapes[0] | shapes[1]:
                there = [asked[-1] in some for some in shapes]
                assert turn.answer == ("Both." if all(there) else f"The {'first' if there[0] else 'second'} one.")


def test_without_a_picture_nothing_is_told_about_one() -> None:
    said = {turn.answer for n in range(200) for turn in dialogues.without_picture(ALL, Random(n), SCENES[0])}
    assert said == {dialogues.NO_PICTURE, *dialogues.SMALL_TALK}


def test_words_that_nobody_knows_get_the_answer_that_says_what_can_be_asked() -> None:
    turns = [dialogues.strange(Random(n)) for n in range(100)]
    assert {turn.answer for turn in turns} == {dialogues.HELP}
    assert len({turn.question for turn in turns}) == 100


def test_a_probe_always_asks() -> None:
    for n in range(100):
        question, answer = dialogues.probe(SCENES[0], ALL, Random(n))
        assert question.startswith(" ")
        assert answer.startswith(" ")
        assert not answer.endswith(".")
