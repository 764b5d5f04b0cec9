"""How good a LLaVA is on pictures that it never saw: the share of answers that are right to the last character.

A figure for each kind of question (one turn, one to four things), and for what makes a question harder: other wordings,
a second turn after the model's own answer, the question before the picture, two pictures, more things, no picture.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from random import Random

from PIL import Image
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from services.finetune.demo import render
from services.finetune.demo.dialogues import about_two, turn, without_picture
from services.finetune.demo.facts import KINDS, fact
from services.finetune.demo.llava_chat import Chat, asked, replies, said
from services.finetune.demo.llava_training import FEW, MANY
from services.finetune.demo.pictures import draw
from services.finetune.demo.progress import Progress
from services.finetune.demo.questions import asked as asked_for
from services.finetune.demo.scenes import Scene, World

SIDE = 256  # pixels: the processor scales, as it does for what users send
ALL: Mapping[str, float] = dict.fromkeys(KINDS, 1.0)
Exam = Callable[[Random], tuple[Chat, str]]  # luck -> a chat, and the right answer


def evaluate(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, *, seed: int, questions: int
) -> dict[str, float]:
    """All figures in 0-1, each over so many `questions`; `mean` is that of the kinds."""
    exams: dict[str, Exam] = {kind: partial(plain, kind=kind) for kind in KINDS}
    exams |= {"pair": apart, **HARDER}
    progress, figures = Progress("ask", len(exams) + 1), {}
    for name, exam in exams.items():
        figures[name] = share(model, processor, [exam(Random(f"{seed}/{name}/{n}")) for n in range(questions)])
        progress.tell(len(figures))
    figures["second_turn"] = second_turn(model, processor, seed=seed, questions=questions)
    return figures | {"mean": round(sum(figures[kind] for kind in KINDS) / len(KINDS), 4)}


def share(model: LlavaForConditionalGeneration, processor: LlavaProcessor, exams: list[tuple[Chat, str]]) -> float:
    """Share of the chats that get the right answer."""
    told = replies(model, processor, [chat for chat, _ in exams])
    return round(sum(reply.text == right for reply, (_, right) in zip(told, exams, strict=True)) / len(exams), 4)


def second_turn(model: LlavaForConditionalGeneration, processor: LlavaProcessor, *, seed: int, questions: int) -> float:
    """Share of right answers to a question that follows another one and the model's own answer to it."""
    exams = [second(Random(f"{seed}/second/{n}")) for n in range(questions)]
    told = replies(model, processor, [Chat(chat.messages[:1], chat.pictures) for chat, _ in exams])
    return share(
        model,
        processor,
        [
            (Chat([chat.messages[0], said(reply.text), chat.messages[2]], chat.pictures), right)
            for (chat, right), reply in zip(exams, told, strict=True)
        ],
    )


def plain(
    rng: Random, *, kind: str = "", world: World = FEW, held_out: bool = False, last: bool = False
) -> tuple[Chat, str]:
    """One question about one picture, of this kind or of any."""
    wanted, known = kind or rng.choice(list(KINDS)), None
    while known is None:
        shown = scene(world, rng)
        known = fact(shown, wanted, rng)
    question = asked_for(known, rng, held_out=held_out)
    return Chat([asked(question, pictures=1, last=last)], [picture(shown)]), known.answer


def apart(rng: Random) -> tuple[Chat, str]:
    """Whether there is a red circle: half of the time there is, else there are red things and circles alone."""
    wanted = rng.choice(("Yes.", "No."))
    while True:
        shown = scene(FEW, rng)
        known = fact(shown, "pair", rng)
        if known and known.answer == wanted and (wanted == "Yes." or _both(known.one, shown)):
            return Chat([asked(asked_for(known, rng), pictures=1)], [picture(shown)]), wanted


def second(rng: Random, *, world: World = FEW) -> tuple[Chat, str]:
    """A question, its right answer, and another question."""
    shown = scene(world, rng)
    first, then = turn(shown, ALL, rng), turn(shown, ALL, rng)
    messages = [asked(first.question, pictures=1), said(first.answer), asked(then.question)]
    return Chat(messages, [picture(shown)]), then.answer


def two_pictures(rng: Random, *, world: World = FEW) -> tuple[Chat, str]:
    """A question about one of two pictures in one message, or about which of them shows something."""
    shown = [scene(world, rng), scene(world, rng)]
    found = about_two(shown, ALL, rng)[0]
    return Chat([asked(found.question, pictures=2)], [picture(one) for one in shown]), found.answer


def no_picture(rng: Random) -> tuple[Chat, str]:
    """Small talk, or a question whose picture is missing."""
    found = without_picture(ALL, rng, scene(FEW, rng))[0]
    return Chat([asked(found.question)]), found.answer


def scene(world: World, rng: Random) -> Scene:
    """A scene of the held-out ones that this luck finds."""
    return draw([world], seed=rng.getrandbits(40), index=0)


def picture(scene: Scene) -> Image.Image:
    """The picture as a user may send it."""
    return Image.fromarray(render.picture(scene, SIDE))


def _both(one: str, scene: Scene) -> bool:
    colour, shape = one.split()
    return any(thing.colour == colour for thing in scene.things) and any(t.shape == shape for t in scene.things)


HARDER: Mapping[str, Exam] = {
    "other_wordings": partial(plain, held_out=True),
    "picture_last": partial(plain, last=True),
    "dark": partial(plain, world=replace(FEW, dark=1.0)),
    "five_or_six_things": partial(plain, world=MANY),
    "five_or_six_count": partial(plain, kind="count", world=MANY),
    "two_pictures": two_pictures,
    "no_picture": no_picture,
}
