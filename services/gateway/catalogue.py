"""The models of all services as one list, and which service answers for which id."""

from typing import Any

from services.gateway.joined import Joined
from services.gateway.upstreams import Upstream
from shared.errors import ModelNotFound


class Catalogue:
    """What the services say that they serve."""

    def __init__(self, models: Joined) -> None:
        self.models = models
        # Ids once seen lead to their service even while it is down, whose absence is then what the caller is told.
        self._service_of: dict[str, str] = {}

    async def list(self) -> dict[str, Any]:
        """The list in OpenAI's shape, with the services that did not answer in `unavailable`."""
        documents = await self.models.documents()
        data = [model for document in documents.values() for model in document.get("data", ())]
        self._service_of |= {
            model["id"]: name for name, document in documents.items() for model in document.get("data", ())
        }
        down = [upstream.name for upstream in self.models.deployed if upstream.name not in documents]
        return {"object": "list", "data": data, "unavailable": down}

    async def upstream_of(self, model: str) -> Upstream:
        """The service that serves `model`; its own name stands for its default model. Raises `ModelNotFound`.

        Raises `Unavailable` where a service that may serve it does not answer.
        """
        listed = await self.list()
        upstreams = self.models.fleet.upstreams
        name = self._service_of.get(model, model)
        if name in upstreams and upstreams[name].deployed:
            return upstreams[name]
        if listed["unavailable"]:
            raise upstreams[listed["unavailable"][0]].unavailable()
        ids = ", ".join(entry["id"] for entry in listed["data"])
        raise ModelNotFound(f"No such model here. Served are: {ids or 'none'}.", param="model")
