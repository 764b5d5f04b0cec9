"""HTTP in, HTTP out: `POST /v1/embeddings`, `/v1/classify` and `/v1/similarity`, and the named label sets."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.clip import answers
from services.clip.classify import Matrix, question, unit
from services.clip.documentation import embeddings_request
from services.clip.inputs import read_text
from services.clip.items import Item
from services.clip.model import Clip
from services.clip.reading import read_embeddings
from services.clip.schemas import (
    Classifications,
    ClassifyRequest,
    Embeddings,
    LabelSetList,
    Scored,
    Similarity,
    SimilarityRequest,
)
from services.clip.service import DEMANDED, ClipService, Embedded, Space
from shared.errors import (
    DeadlineExceeded,
    InvalidImage,
    InvalidRequest,
    ModelNotFound,
    SpaceMismatch,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from shared.images.upload import Upload
from shared.serving.app import DirectRoute, answer_headers, deadline_of, responses, service_of
from shared.serving.documentation import picture_request
from shared.serving.reading import read_request

ERRORS = (
    InvalidImage, ModelNotFound, SpaceMismatch, TooLarge, UnsupportedMedia, Unavailable, DeadlineExceeded,
)  # fmt: skip

router = APIRouter(tags=["clip"])
direct = APIRouter(tags=["clip"], route_class=DirectRoute)


@direct.post(
    "/v1/embeddings",
    summary="Embed texts and pictures",
    openapi_extra=embeddings_request(),
    responses=responses(Embeddings, *ERRORS),
)
async def embeddings(request: Request) -> Response:
    """A vector of length one for each text and each picture, all in one space, in the shape of OpenAI's API.

    Pictures may also be the body (`image/*`) or the parts of a form. `If-Embedding-Space` demands a space by
    its id, and is answered by the weights of that space while they are kept beside.
    """
    service = clip_of(request)
    deadline = deadline_of(request, service)
    items, wish = await read_embeddings(request, service)
    space = space_of(request, service, wish.model)
    check_dimensions(wish.dimensions, space.model)
    embedded = await service.embed(space, items, deadline=deadline)
    vectors = cut(embedded.vectors, wish.dimensions)
    return _answer(embedded, answers.embeddings(embedded, vectors, wish.encoding_format))


@direct.post(
    "/v1/classify",
    summary="Tell which labels fit a picture",
    openapi_extra=picture_request(ClassifyRequest),
    responses=responses(Classifications | list[Scored] | list[list[Scored]], *ERRORS),
)
async def classify(request: Request) -> Response:
    """Scores of labels that the request names, or of a named label set, for each picture; nothing has to be trained."""
    service = clip_of(request)
    deadline = deadline_of(request, service)
    upload, wish = await read_request(request, service, ClassifyRequest)
    asked = question(wish, service.label_sets)
    space = space_of(request, service, wish.model)
    found = await service.classify(space, asked, _pictures(upload), deadline=deadline)
    body = answers.classifications(found, asked, wish, _request_id(request))
    return _answer(found.pictures, body)


@direct.post(
    "/v1/similarity",
    summary="Compare texts with pictures",
    openapi_extra=picture_request(SimilarityRequest),
    responses=responses(Similarity, *ERRORS),
)
async def similarity(request: Request) -> Response:
    """The cosine of each text and each picture: a row for each text, a column for each picture."""
    service = clip_of(request)
    deadline = deadline_of(request, service)
    upload, wish = await read_request(request, service, SimilarityRequest)
    texts = [read_text(text, f"texts[{number}]") for number, text in enumerate(wish.texts)]
    space = space_of(request, service, wish.model)
    embedded = await service.embed(space, [*texts, *_pictures(upload)], deadline=deadline)
    body = answers.similarity(embedded[: len(texts)], embedded[len(texts) :], _request_id(request))
    return _answer(embedded, body)


@router.get("/v1/label-sets", summary="List the named label sets")
async def label_sets(request: Request) -> LabelSetList:
    """Every set that `POST /v1/classify` takes as `label_set`, with its labels and their thresholds."""
    return answers.label_sets(clip_of(request).label_sets)


def clip_of(request: Request) -> ClipService:
    """The service that a request came to."""
    service = service_of(request)
    assert isinstance(service, ClipService)
    return service


def space_of(request: Request, service: ClipService, model: str | None) -> Space:
    """The space that a request means: the one that it demands by its header, or the one that serves."""
    demanded = request.headers.get(DEMANDED)
    return service.space(service.pick(model), None if demanded is None else demanded.strip().strip('"'))


def check_dimensions(wanted: int | None, model: Clip) -> None:
    """Raise `InvalidRequest` where vectors of `model` cannot be cut to `wanted` numbers."""
    if wanted is None or wanted == model.dimensions:
        return
    if not model.matryoshka:
        raise InvalidRequest(
            f"This model's vectors have {model.dimensions} numbers and cannot be cut. Leave 'dimensions' out.",
            param="dimensions",
        )
    if wanted > model.dimensions:
        raise InvalidRequest(f"'dimensions' must be at most {model.dimensions}.", param="dimensions")


def cut(vectors: Matrix, dimensions: int | None) -> Matrix:
    """The first `dimensions` numbers of each vector, brought back to length one."""
    return vectors if dimensions is None else unit(vectors[:, :dimensions])


def _pictures(upload: Upload) -> list[Item]:
    return [Item(None, data, field) for data, field in zip(upload.images, upload.image_fields, strict=True)]


def _request_id(request: Request) -> str:
    name: str = request.scope["state"]["request_id"]
    return name


def _answer(embedded: Embedded, body: bytes) -> Response:
    headers = {**answer_headers(embedded.answers), "x-embedding-space": embedded.space.id}
    return Response(body, media_type="application/json", headers=headers)
