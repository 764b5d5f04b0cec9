"""`python -m loadtests.floor`: the least that a FastAPI service can cost, beside which ours is measured.

uvicorn with its fast parser and loop, one route, `await request.body()`; no limits, no logs, no metrics, no ids.
"""

import os

import uvicorn
from fastapi import FastAPI, Request, Response

app = FastAPI()


@app.post("/v1/detect")
async def detect(request: Request) -> Response:
    """Read the body, answer a number."""
    await request.body()
    return Response("42")


@app.get("/readyz")
async def readyz() -> Response:
    """It is ready as soon as it listens."""
    return Response("ok")


def main() -> None:
    """Serve on the port that OCELLI_PORT names."""
    port = int(os.environ["OCELLI_PORT"])
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", log_config=None, access_log=False)


if __name__ == "__main__":
    main()
