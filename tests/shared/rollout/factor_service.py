"""`python -m tests.shared.rollout.factor_service`: a real service around a model whose weights are a number."""

from typing import ClassVar

from fastapi import APIRouter, Request
from fastapi.responses import Response

from shared.serving.app import DirectRoute, answer_headers, deadline_of, run, service_of
from shared.serving.service import Service
from shared.settings import Names, ServiceSettings
from tests.shared.serving.factors import NAME, Factor

router = APIRouter(route_class=DirectRoute)


class FactorSettings(ServiceSettings):
    service: ClassVar[str] = "detection"

    models: Names = (NAME,)


@router.get("/multiply/{number}")
async def multiply(request: Request) -> Response:
    service = service_of(request)
    number = int(request.path_params["number"])
    answers = await service.running.infer_all(NAME, [number] * 2, deadline=deadline_of(request, service))
    return Response(str(answers[0].result), headers=answer_headers(answers))


if __name__ == "__main__":
    run(Service(FactorSettings.load(), Factor), router, title="factor")
