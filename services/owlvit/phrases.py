"""Labels -> the phrases that the text tower reads, as token ids: on the CPU, and never cut in silence."""

from services.owlvit.labels import normal
from services.owlvit.queries import Label, TextQuery
from shared.accel.tokenizer import Tokenizer
from shared.errors import InvalidRequest

SLOT = "{}"
Ids = tuple[int, ...]


def tokenise(query: TextQuery, tokenizer: Tokenizer, *, template: str, longest: int) -> tuple[Ids, ...]:
    """The token ids of each label of `query` in its template, or in `template` where it has none.

    Raises `InvalidRequest` for a phrase of more than `longest` tokens, its begin and end included.
    """
    template = query.template or template
    return tuple(_ids(label, tokenizer, template=template, longest=longest) for label in query.labels)


def check_template(template: str) -> None:
    """Raises `InvalidRequest` unless there is exactly one place for the label in `template`."""
    if template.count(SLOT) != 1 or set(template.replace(SLOT, "")) & set(SLOT):
        raise InvalidRequest(
            "'template' must hold {} once, where the label goes, and no other braces.", param="template"
        )


def _ids(label: Label, tokenizer: Tokenizer, *, template: str, longest: int) -> Ids:
    ids = tokenizer.ids(template.replace(SLOT, normal(label.name)))
    if len(ids) > longest:
        raise InvalidRequest(
            f"'labels[{label.index}]' makes {len(ids)} tokens with its template, and this model reads at most "
            f"{longest}. Shorten the label, or send a shorter 'template'.",
            code="label_too_long",
            param=f"labels[{label.index}]",
        )
    return ids
