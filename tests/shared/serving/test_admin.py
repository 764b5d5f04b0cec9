"""The admin surface: who is let in, what is understood, and that no name leads out of the store."""

import asyncio
import os
import stat
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from shared.admin_key import admin_key, make, read
from shared.serving.admin import admin
from shared.serving.batch import Lane
from shared.serving.engine import Engine
from shared.settings import ServiceSettings
from shared.weights.store import Store
from tests.shared.serving.factors import NAME, Factor, pool, publish, published, queue, swaps_of

T = TypeVar("T")
KEY = "a-key-of-the-tests-1234567890"
NOTHING = "sha256:" + "0" * 64

HOSTILE = [
    "..", ".", "../clip", "..%2fclip", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/etc/passwd", "%2fetc%2fpasswd",
    "\\..\\x", "c:%5cx", "factor%00", "%00", "factor%0a", "factor%0d%0aset-cookie:x", "Factor", "FACTOR", "factor ",
    "%20factor", "factor/", "factor/..", "factor/x", "factor%2fv2", "~", "~root", "$HOME", "$(id)", "`id`",
    "factor;id", "factor|id", "factor&x", "*", "?", "[a]", "{a}", "%7b%7d", "file:%2f%2f%2fetc", "http:%2f%2f127.0.0.1",
    "s3:%2f%2fbucket", "con", "nul", "aux.txt", "%e2%80%a6", "%ef%bc%8e%ef%bc%8e", "%c0%ae%c0%ae", "%ff%fe", "x" * 65,
    "x" * 300, "-rf", "_x", ".hidden", ".incoming-x", "models", "aliases", "factor@v2", "factor@sha256:00", "a%25b",
    "%252e%252e%252f", "__proto__", "null", "\u202efactor",
]  # fmt: skip


class Settings(ServiceSettings):
    """Settings of a test, which has no command line."""

    model_config = ServiceSettings.model_config | {"cli_parse_args": False}


def asked(
    store: Store,
    body: Callable[[httpx.AsyncClient], Awaitable[T]],
    *,
    key: Callable[[], str | None] = lambda: KEY,
    offered: str | None = KEY,
) -> T:
    """Run `body` with a client of the admin surface that has `key`; the client offers another one where it is told."""

    async def main() -> T:
        engine = Engine("test", [Lane(NAME, Factor, queue())], pool=pool(), on_lost=lambda: None)
        engine.start()
        swaps = swaps_of(engine, store)
        await swaps.load(NAME)
        transport = httpx.ASGITransport(admin(swaps, Settings(), key))
        headers = {} if offered is None else {"authorization": f"Bearer {offered}"}
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://admin", headers=headers) as client:
                return await body(client)
        finally:
            await engine.close()

    return asyncio.run(main())


async def order(client: httpx.AsyncClient, action: str, model: str = NAME, **fields: object) -> httpx.Response:
    return await client.post(f"/admin/weights/{model}/{action}", json=fields)


def test_the_two_phases_and_the_way_back(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)
    old, new = (store.resolve(f"{NAME}@v{n}").digest for n in (2, 3))

    async def body(client: httpx.AsyncClient) -> list[dict[str, Any]]:
        steps = [
            ("prepare", {"version": "v3", "by": "ada"}),
            ("commit", {"digest": new}),
            ("rollback", {"digest": old}),
        ]
        states = [(await order(client, action, **fields)).raise_for_status().json() for action, fields in steps]
        (overview,) = (await client.get("/admin/weights")).raise_for_status().json()["models"]
        return [*states, overview]

    prepared, committed, back, overview = asked(store, body)
    assert (prepared["serving"]["version"], prepared["prepared"]["version"], prepared["prepared"]["by"]) == (
        "v2", "v3", "ada",
    )  # fmt: skip
    assert 0 < prepared["prepared"]["expires_in_s"] <= 60
    assert (committed["serving"]["digest"], committed["previous"]["digest"]) == (new, old)
    assert (back["serving"]["digest"], back["previous"]["digest"], back["prepared"]) == (old, new, None)
    assert overview == back
    assert overview["follows"] == "champion"


def test_a_refused_version_says_why_and_is_shown(tmp_path: Path) -> None:
    store = published(tmp_path, 2)
    digest = publish(store, "bad", factor=5, golden=6)

    async def body(client: httpx.AsyncClient) -> None:
        refusal = await order(client, "prepare", version="bad")
        assert (refusal.status_code, refusal.json()["error"]["code"]) == (400, "weights_refused")
        assert refusal.json()["detail"] == "golden case 0 of factor: 10 is not 12"
        (state,) = (await client.get("/admin/weights")).json()["models"]
        assert state["refused"] == {digest: "golden case 0 of factor: 10 is not 12"}

    asked(store, body)


@pytest.mark.parametrize("offered", [None, "", "wrong", KEY[:-1], f"{KEY}x", KEY.upper()])
def test_nobody_is_let_in_without_the_key(tmp_path: Path, offered: str | None) -> None:
    async def body(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [
            await client.get("/admin/weights"),
            await order(client, "prepare", version="v3"),
            await order(client, "nothing"),
            await client.request("DELETE", "/admin/weights"),
        ]

    for answer in asked(published(tmp_path, 2, 3), body, offered=offered):
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_without_a_key_of_its_own_there_is_nothing_here(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> list[int]:
        return [(await client.get("/admin/weights")).status_code, (await order(client, "prepare")).status_code]

    assert asked(published(tmp_path, 2), body, key=lambda: None, offered="") == [404, 404]


@pytest.mark.parametrize(
    ("action", "fields", "status", "param"),
    [
        ("prepare", {}, 400, "version"),
        ("prepare", {"version": 3}, 400, "version"),
        ("prepare", {"version": "v9"}, 404, "version"),
        ("prepare", {"version": "v3", "path": "/etc"}, 400, "path"),
        ("prepare", {"version": "v3", "url": "http://127.0.0.1"}, 400, "url"),
        ("prepare", {"version": "v3", "by": "x" * 201}, 400, "by"),
        ("prepare", {"version": "champion@v3"}, 400, "version"),
        ("prepare", {"version": "sha256:000000"}, 400, "version"),
        ("commit", {"digest": "v3"}, 400, "digest"),
        ("commit", {"digest": NOTHING}, 409, None),
        ("commit", {"digest": NOTHING, "keep": "v2"}, 400, "keep"),
        ("retire", {"digest": "v2"}, 400, "digest"),
        ("retire", {"digest": NOTHING, "keep": NOTHING}, 400, "keep"),
        ("abort", {"digest": NOTHING}, 409, None),
        ("rollback", {"digest": NOTHING}, 409, None),
        ("rollback", {}, 400, "digest"),
    ],
)
def test_a_wrong_order_is_told_what_is_wrong(
    tmp_path: Path, action: str, fields: dict[str, Any], status: int, param: str | None
) -> None:
    async def body(client: httpx.AsyncClient) -> httpx.Response:
        return await order(client, action, **fields)

    answer = asked(published(tmp_path, 2, 3), body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b"[]", 400), (b"{", 400), (b'{"version": NaN}', 400), (b'{"by": "' + b"x" * 5000 + b'"}', 413)],
)
def test_a_body_that_is_none_is_refused(tmp_path: Path, content: bytes, status: int) -> None:
    async def body(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(f"/admin/weights/{NAME}/prepare", content=content)

    assert asked(published(tmp_path, 2), body).status_code == status


def test_each_path_takes_its_own_method(tmp_path: Path) -> None:
    async def body(client: httpx.AsyncClient) -> list[int]:
        answers = [await client.post("/admin/weights"), await client.get(f"/admin/weights/{NAME}/prepare")]
        return [answer.status_code for answer in answers]

    assert asked(published(tmp_path, 2), body) == [405, 405]


class Opened:
    """The files that this process opens while `on` is set; an audit hook stays for the life of the process."""

    def __init__(self) -> None:
        self.on, self.paths = False, list[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event in {"open", "os.listdir", "os.scandir", "os.stat"}:
            self.paths.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes)) else "")


def test_no_name_leads_anywhere(tmp_path: Path) -> None:
    store, opened = published(tmp_path, 2, 3), Opened()

    async def body(client: httpx.AsyncClient) -> None:
        opened.on = True
        for name in HOSTILE:
            fields = {"version": name} if name != "v3" else {}
            for action, more in (("prepare", {"version": "v3"}), ("commit", {"digest": NOTHING}),
                                 ("abort", {"digest": NOTHING}), ("rollback", {"digest": NOTHING})):  # fmt: skip
                answer = await order(client, action, name, **more)
                assert 400 <= answer.status_code < 500, (name, action, answer.text)
            answer = await order(client, "prepare", **fields)
            assert 400 <= answer.status_code < 500, (name, answer.text)
        opened.on = False

    asked(store, body)
    assert len(HOSTILE) >= 60
    assert [path for path in opened.paths if path and not path.startswith(str(tmp_path / "store"))] == []


def test_the_key_is_made_once_and_its_owner_alone_may_read_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    key = make(state)
    assert key is not None and len(key) >= 40
    assert make(state) == key == admin_key(state, None)
    assert stat.S_IMODE((state / "admin.key").stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == ["admin.key"]


def test_a_key_is_changed_by_replacing_its_file(tmp_path: Path) -> None:
    file = tmp_path / "rotated.key"
    file.write_text("the-key-of-yesterday")

    async def body(client: httpx.AsyncClient) -> list[int]:
        before = await client.get("/admin/weights")
        file.write_text("the-key-of-today")
        after = await client.get("/admin/weights")
        client.headers["authorization"] = "Bearer the-key-of-today"
        return [each.status_code for each in (before, after, await client.get("/admin/weights"))]

    key = partial(admin_key, tmp_path, file)
    assert asked(published(tmp_path, 2), body, key=key, offered="the-key-of-yesterday") == [200, 401, 200]


def test_a_key_from_a_file_is_that_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    assert admin_key(tmp_path, file) is None
    file.write_text("short")
    assert read(file) is None
    file.write_text(f"{KEY}\n")
    assert admin_key(tmp_path, file) == KEY
    assert not (tmp_path / "admin.key").exists()
