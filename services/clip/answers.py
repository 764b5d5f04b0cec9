"""Vectors and scores -> the JSON bodies of `services.clip.schemas`.

Vectors go from numpy straight to text: pydantic would look at each of their numbers.
"""

import base64
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic_core import to_json

from services.clip.classify import Matrix, Question, rank
from services.clip.labelsets import LabelSets
from services.clip.schemas import (
    Classifications,
    ClassifyRequest,
    LabelSetEntry,
    LabelSetLabel,
    LabelSetList,
    PictureUsage,
    Scored,
    Similarity,
)
from services.clip.service import Classified, Embedded


def embeddings(embedded: Embedded, vectors: Matrix, encoding: str) -> bytes:
    """The body of `Embeddings`: `vectors` [items, d] as numbers, or as base64 of little-endian float32."""
    rows = [_base64(row) for row in vectors] if encoding == "base64" else list(np.ascontiguousarray(vectors))
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)],
        "model": embedded.space.identity.model,
        "embedding_space": embedded.space.id,
        "usage": {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens},
    }
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def classifications(found: Classified, asked: Question, wish: ClassifyRequest, request_id: str) -> bytes:
    """The body of `Classifications`, or of Hugging Face's task: one list for one picture, else a list of lists."""
    pictures = [rank(row, asked, index=index, top_k=wish.top_k) for index, row in enumerate(found.scores.tolist())]
    if wish.format == "hf":
        lists = [[Scored(score=one.score, label=one.label) for one in picture.labels] for picture in pictures]
        return to_json(lists[0] if len(lists) == 1 else lists)
    answer = Classifications(
        **_identity(found.pictures, request_id),
        label_set=wish.label_set,
        data=pictures,
        usage=_usage(found.tokens, len(pictures)),
    )
    return to_json(answer, exclude_none=True)


def similarity(texts: Embedded, pictures: Embedded, request_id: str) -> bytes:
    """The body of `Similarity`: the cosine of each text and each picture."""
    cosines: NDArray[np.float32] = texts.vectors @ pictures.vectors.T
    answer = Similarity(
        **_identity(pictures, request_id),
        similarity=[[round(cosine, 6) for cosine in row] for row in cosines.tolist()],
        logit_scale=pictures.space.scale,
        usage=_usage(texts.tokens, len(pictures.answers)),
    )
    return to_json(answer)


def label_sets(sets: LabelSets) -> LabelSetList:
    """Every named set, as it is asked."""
    return LabelSetList(
        data=[
            LabelSetEntry(
                id=name,
                description=one.description,
                activation=one.activation,
                templates=list(one.templates),
                background=list(one.background),
                labels=[LabelSetLabel(label=label.label, threshold=label.threshold) for label in one.labels],
            )
            for name, one in sets.items()
        ]
    )


def _base64(vector: Matrix) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _identity(embedded: Embedded, request_id: str) -> dict[str, Any]:
    space = embedded.space
    return {
        "id": request_id,
        "model": space.identity.model,
        "model_version": space.identity.version,
        "embedding_space": space.id,
    }


def _usage(tokens: int, pictures: int) -> PictureUsage:
    return PictureUsage(prompt_tokens=tokens, total_tokens=tokens, images=pictures)
