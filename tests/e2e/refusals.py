"""What every refusal has in common: its status, a code, the field, a sentence, and nothing of the inside."""

import re

import httpx

LEAK = re.compile(r"0x[0-9a-f]{6,}|Traceback|(/\w+){3,}/|site-packages|PIL|pydantic|torch|BytesIO|\.py\b")


def check(answer: httpx.Response, *, status: int, code: str, param: str | None = None) -> None:
    """Assert that `answer` is this refusal; `code` may name several, apart by `|`, and without `param` any will do."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    error = body["error"]
    assert error["code"] in code.split("|"), error
    if param is not None:
        assert error["param"] == param, error
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == body["request_id"]
    assert error["message"].endswith("."), error
    assert not LEAK.search(answer.text.replace(answer.request.url.path, "")), answer.text
