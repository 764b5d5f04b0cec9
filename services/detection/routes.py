"""HTTP in, HTTP out: `POST /v1/detect` and the labels of a model."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.detection.model import Detector
from services.detection.parameters import Item, Parameters
from services.detection.schemas import DetectRequest, Label, Labels, MaskFormat
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
from shared.serving.app import DirectRoute, answer_headers, deadline_of, responses, service_of
from shared.serving.documentation import picture_request
from shared.serving.reading import read_request

router = APIRouter(tags=["detection"])
direct = APIRouter(tags=["detection"], route_class=DirectRoute)


@direct.post(
    "/v1/detect",
    summary="Find objects of known classes",
    openapi_extra=picture_request(DetectRequest),
    responses=responses(
        NativeAnswer, InvalidImage, ModelNotFound, TooLarge, UnsupportedMedia, Unavailable, DeadlineExceeded
    ),
)
async def detect(request: Request) -> Response:
    """Boxes, labels and scores of every object, and its mask where the model finds masks.

    Coordinates are absolute pixels of the picture after EXIF orientation. One request may carry several pictures.
    """
    service = service_of(request)
    deadline = deadline_of(request, service)
    upload, wish = await read_request(request, service, DetectRequest)
    name = service.pick(wish.model)
    weights = service.weights(name)
    detector: Detector = weights.model
    mask_format = mask_format_of(wish, masks=detector.finds_masks)
    parameters = Parameters(
        threshold=wish.threshold,
        iou_threshold=wish.iou_threshold,
        labels=tuple(wish.labels) if wish.labels else None,
        max_detections=wish.max_detections,
        masks=mask_format != "none",
    )
    items = [Item(data, parameters, field) for data, field in zip(upload.images, upload.image_fields, strict=True)]
    answers = await service.running.infer_all(name, items, deadline=deadline, weights=weights)
    body = await service.running.pool.run(
        render, answers, wish.format, mask_format, request.scope["state"]["request_id"]
    )
    return Response(body, media_type="application/json", headers=answer_headers(answers))


@router.get(
    "/v1/models/{model}/labels", summary="List the classes of a model", responses=responses(Labels, ModelNotFound)
)
async def labels(model: str, request: Request) -> Labels:
    """Every class with the id that answers carry as `label_id`."""
    service = service_of(request)
    detector: Detector = service.weights(service.pick(model)).model
    return Labels(model=model, data=[Label(id=number, label=label) for label, number in detector.labels.items()])


def mask_format_of(wish: DetectRequest, *, masks: bool) -> MaskFormat:
    """The form in which masks travel: as asked, and `rle` where nothing was asked and the model finds `masks`."""
    if wish.mask_format is None:
        return "rle" if masks else "none"
    if wish.mask_format != "none" and not masks:
        raise InvalidRequest(
            "This model finds boxes only. Name one that finds masks, or leave it out.", param="mask_format"
        )
    return wish.mask_format
