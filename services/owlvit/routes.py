"""HTTP in, HTTP out: `POST /v1/detect/open`."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.owlvit.labels import read_labels
from services.owlvit.phrases import check_template
from services.owlvit.queries import ImageQuery, Item, Parameters, TextQuery
from services.owlvit.schemas import OpenDetectRequest
from shared.errors import (
    DeadlineExceeded,
    InvalidImage,
    InvalidRequest,
    ModelNotFound,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from shared.images.answers import NativeAnswer
from shared.images.formats import render
from shared.images.inline import read_inline
from shared.serving.app import DirectRoute, answer_headers, deadline_of, responses, service_of
from shared.serving.documentation import picture_request
from shared.serving.reading import read_request
from shared.settings import Limits

direct = APIRouter(tags=["detection"], route_class=DirectRoute)


@direct.post(
    "/v1/detect/open",
    summary="Find whatever labels or an example name",
    openapi_extra=picture_request(OpenDetectRequest),
    responses=responses(
        NativeAnswer, InvalidImage, ModelNotFound, TooLarge, UnsupportedMedia, Unavailable, DeadlineExceeded
    ),
)
async def detect_open(request: Request) -> Response:
    """Boxes and scores of what `labels` name, or of what looks like the object in `query_image` or `query_box`.

    Each box has its best label. `label_id` is the label's place in the request. Coordinates are absolute pixels of the
    picture after EXIF orientation; a box may reach beyond the border where its object does.
    """
    service = service_of(request)
    deadline = deadline_of(request, service)
    upload, wish = await read_request(request, service, OpenDetectRequest, binary=("query_image",))
    name = service.pick(wish.model)
    arguments = (wish, service.settings.limits)
    # Base64 of a large example would stall the other requests.
    query = await service.running.pool.run(query_of, *arguments) if wish.query_image else query_of(*arguments)
    parameters = Parameters(wish.threshold, wish.iou_threshold, wish.max_detections)
    items = [
        Item(data, query or ImageQuery(data, box_of(wish), field), parameters, field)
        for data, field in zip(upload.images, upload.image_fields, strict=True)
    ]
    answers = await service.running.infer_all(name, items, deadline=deadline)
    body = await service.running.pool.run(render, answers, wish.format, "none", request.scope["state"]["request_id"])
    return Response(body, media_type="application/json", headers=answer_headers(answers))


def query_of(wish: OpenDetectRequest, limits: Limits) -> TextQuery | ImageQuery | None:
    """What to find in every picture of the request; None where each shows the example itself, in `query_box`.

    Raises `InvalidRequest` unless there are either labels or an example.
    """
    by_example = wish.query_image is not None or wish.query_box is not None
    if wish.labels is None:
        if not by_example:
            raise InvalidRequest(
                "'labels' is required: name what to find, or show it with 'query_image' or 'query_box'.",
                code="missing_field",
                param="labels",
            )
        if wish.template is not None:
            raise InvalidRequest("'template' goes with 'labels' alone. Leave it out.", param="template")
        return _example(wish, limits)
    if by_example:
        field = "query_image" if wish.query_image is not None else "query_box"
        raise InvalidRequest(f"Send either 'labels' or '{field}', not both.", param=field)
    if wish.template is not None:
        check_template(wish.template)
    return TextQuery(read_labels(wish.labels), wish.template)


def box_of(wish: OpenDetectRequest) -> tuple[float, float, float, float] | None:
    """The box of the example, in pixels of its picture."""
    if wish.query_box is None:
        return None
    left, top, right, bottom = wish.query_box
    return left, top, right, bottom


def _example(wish: OpenDetectRequest, limits: Limits) -> ImageQuery | None:
    if wish.query_image is None:
        return None
    sent = wish.query_image  # the picture itself where a form carries it
    data = sent if isinstance(sent, bytes) else read_inline(sent, "query_image", limits)
    return ImageQuery(data, box_of(wish))
