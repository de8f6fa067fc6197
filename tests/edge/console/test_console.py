"""The ops console's pages over bytes: who gets in, what they see, and what nobody sees. Rule: no browser; that is `tests/console`."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from domain.errors import Unavailable
from edge.assembly import global_edge
from edge.console.live_tail import Tails
from edge.console.routes import console_routes
from edge.http.client_address import TrustedProxies
from edge.http.server import EdgeServer
from projections.audit.rows import AuditFilter
from tests.edge.console.markup_laws import Page
from tests.edge.console.stand_in import NOW, OPS, OpsTokens, StandInConsole, row
from tests.edge.raw_client import RawClient, Response, raw_client_to
from tests.edge.stand_ins import StandInGlobal, Tokens
from tests.support.waiting import eventually

COOKIE = {"Cookie": "theme=dark; flash_ops=ops-token"}
OURS = {"Host": "flash.example", "Origin": "http://flash.example"}
PAGES = ("/ops", "/ops/user?who=ann", "/ops/trace?message=m1", "/ops/presence", "/ops/homes", "/ops/dead", "/ops/heavy")
CHANGES = ("/ops/dead/requeue", "/ops/dead/drop", "/ops/homes/revoke", "/ops/heavy/throttle", "/ops/heavy/end")


@pytest.fixture
def console() -> StandInConsole:
    return StandInConsole()


@pytest.fixture
async def edge(console: StandInConsole) -> AsyncIterator[EdgeServer]:
    pages = console_routes(console, OpsTokens(), TrustedProxies(), "http://public.example")
    edge = global_edge(StandInGlobal(), Tokens(), pages=pages)
    await edge.start("127.0.0.1", 0)
    yield edge
    await edge.stop(drain_s=0.1)


@pytest.fixture
async def raw_client(edge: EdgeServer) -> AsyncIterator[RawClient]:
    async with raw_client_to(edge.port) as raw_client:
        yield raw_client


async def post(raw_client: RawClient, path: str, form: str, headers: dict[str, str]) -> Response:
    return await raw_client.ask("POST", path, form.encode(), {"Content-Type": "application/x-www-form-urlencoded", **headers})


@pytest.mark.parametrize("path", [*PAGES, "/ops/tail"])
async def test_without_a_cookie_everybody_is_sent_to_the_form(raw_client: RawClient, path: str) -> None:
    for headers in ({}, {"Cookie": "flash_ops="}, {"Cookie": "flash_ops=forged"}, {"Authorization": "Bearer ops-token"}):
        answer = await raw_client.ask("GET", path, headers=headers)
        assert answer.status == 303
        assert answer.headers["location"].startswith("/ops/login")
        assert answer.body == b""


@pytest.mark.parametrize("path", PAGES)
async def test_who_lacks_the_role_is_told_so(raw_client: RawClient, console: StandInConsole, path: str) -> None:
    answer = await raw_client.ask("GET", path, headers={"Cookie": "flash_ops=user-token"})
    assert answer.status == 403
    assert b"with the role ops" in answer.body
    assert not console.asked


async def test_signing_in_gives_a_cookie_that_no_script_and_no_other_site_can_use(raw_client: RawClient) -> None:
    answer = await post(raw_client, "/ops/login", "handle=opal&password=correct+horse&next=%2Fops%2Ftrace%3Fmessage%3Dm1", OURS)
    assert (answer.status, answer.headers["location"]) == (303, "/ops/trace?message=m1")
    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name == "flash_ops=ops-token"
    lasts = next(each for each in attributes if each.startswith("Max-Age="))
    assert set(attributes) == {"Path=/ops", lasts, "HttpOnly", "SameSite=Strict"}
    assert time.time() + int(lasts.partition("=")[2]) == pytest.approx(OPS.expires_at, abs=10), "as long as the token"
    answer = await post(raw_client, "/ops/logout", "", {**OURS, **COOKIE})
    assert answer.headers["set-cookie"].startswith("flash_ops=; ")
    assert "Max-Age=0" in answer.headers["set-cookie"]


async def test_behind_https_the_cookie_goes_over_nothing_else(console: StandInConsole) -> None:
    pages = console_routes(console, OpsTokens(), TrustedProxies(), "https://public.example:8443/")
    edge = global_edge(StandInGlobal(), Tokens(), pages=pages)
    await edge.start("127.0.0.1", 0)
    async with raw_client_to(edge.port) as raw_client:
        public = {"Host": "inside", "Origin": "https://public.example:8443"}  # a proxy in front of us keeps the host to itself
        answer = await post(raw_client, "/ops/login", "handle=opal&password=correct+horse", public)
    await edge.stop(drain_s=0.1)
    assert answer.status == 303
    assert answer.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize(
    "following", ["//evil.example", "https://evil.example/ops", "/ops/../v1", "/ops%0d%0aSet-Cookie:x", "/opsx", "javascript:1"]
)
async def test_after_signing_in_nobody_is_led_elsewhere(raw_client: RawClient, following: str) -> None:
    answer = await post(raw_client, "/ops/login", f"handle=opal&password=correct+horse&next={following}", OURS)
    assert (answer.status, answer.headers["location"]) == (303, "/ops")


async def test_a_wrong_password_and_a_wrong_role_give_no_cookie(raw_client: RawClient) -> None:
    answer = await post(raw_client, "/ops/login", "handle=opal&password=wrong", OURS)
    assert answer.status == 401
    assert b"The handle or the password is wrong." in answer.body
    assert "set-cookie" not in answer.headers
    answer = await post(raw_client, "/ops/login", "handle=ann&password=correct+horse", OURS)
    assert answer.status == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Host": "flash.example", "Origin": "http://flash.example.evil"},
        {"Host": "flash.example", "Origin": "http://flash.example", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
@pytest.mark.parametrize("path", [*CHANGES, "/ops/login", "/ops/logout"])
async def test_what_changes_something_must_come_from_our_own_page(
    raw_client: RawClient, console: StandInConsole, path: str, headers: dict[str, str]
) -> None:
    form = "letter=abc" if path in CHANGES else "handle=opal&password=correct+horse" if path == "/ops/login" else ""
    answer = await post(raw_client, path, form, {**COOKIE, **headers})
    assert answer.status == 403
    assert "set-cookie" not in answer.headers
    assert not console.asked


async def test_dead_letters_go_back_or_away(raw_client: RawClient, console: StandInConsole) -> None:
    for headers in (OURS, {"Sec-Fetch-Site": "same-origin"}):
        answer = await post(raw_client, "/ops/dead/requeue", "letter=abc", {**COOKIE, **headers})
        assert (answer.status, answer.headers["location"]) == (303, "/ops/dead?requeued=1")
    await post(raw_client, "/ops/dead/requeue", "letter=all", {**COOKIE, **OURS})
    answer = await post(raw_client, "/ops/dead/drop", "letter=def", {**COOKIE, **OURS})
    assert answer.headers["location"] == "/ops/dead?dropped=1"
    assert console.asked == [("requeue", ["abc"]), ("requeue", ["abc"]), ("requeue", None), ("drop", ["def"])]
    assert (await raw_client.ask("GET", "/ops/dead/requeue", headers=COOKIE)).status == 405


async def test_somebody_heavy_is_throttled_and_let_off(raw_client: RawClient, console: StandInConsole) -> None:
    body = (await raw_client.ask("GET", "/ops/heavy", headers=COOKIE)).body.decode()
    assert "12.50" in body
    assert "no answer" in body, "of h2"
    assert "Nobody." in body
    answer = await post(raw_client, "/ops/heavy/throttle", "kind=user&name=ann&minutes=10", {**COOKIE, **OURS})
    assert (answer.status, answer.headers["location"]) == (303, "/ops/heavy")
    assert 'action="/ops/heavy/end"' in (await raw_client.ask("GET", "/ops/heavy", headers=COOKIE)).body.decode()
    assert (await post(raw_client, "/ops/heavy/end", "kind=user&name=ann", {**COOKIE, **OURS})).status == 303
    told = [each for each in console.heavy.asked if each[0] != "look"]
    assert told == [("throttle", "opal", "user", "ann", 600.0), ("end", "opal", "user", "ann")]


async def test_a_home_is_revoked_and_none_can_be_enrolled(raw_client: RawClient, console: StandInConsole) -> None:
    answer = await post(raw_client, "/ops/homes/revoke", "home=h1", {**COOKIE, **OURS})
    assert (answer.status, answer.headers["location"]) == (303, "/ops/homes")
    assert console.asked == [("revoke", "h1")]
    body = (await raw_client.ask("GET", "/ops/homes", headers=COOKIE)).body.decode()
    assert body.count('action="/ops/homes/revoke"') == 1, "neither for h2, which is revoked, nor for h3, which is not enrolled"
    assert "enrol" not in body.replace("not enrolled", "")


@pytest.mark.parametrize(
    "path", [*PAGES, "/ops/login", "/ops/login?next=%22%3E%3Cscript%3E", "/ops?user=%3Cscript%3Ealert(1)%3C/script%3E"]
)
async def test_nothing_that_anybody_wrote_becomes_markup(raw_client: RawClient, path: str) -> None:
    body = (await raw_client.ask("GET", path, headers=COOKIE)).body.decode()
    assert "<script>" not in body
    assert "<img" not in body
    assert "onerror=alert(1)>" not in body
    if path in PAGES:
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body or path.startswith("/ops/trace")


@pytest.mark.parametrize(
    "path",
    [
        *PAGES,
        *("/ops/login", "/ops?cursor=1.5:1", "/ops?since=junk", "/ops?since=2023-11-14T22:00:00", "/ops/user?who=ann&at=2023-11-14T22:00"),
        *("/ops/user?who=nobody", "/ops/trace?message=none", "/ops/presence?at=junk", "/ops/dead?requeued=1", "/ops/static/nothing"),
    ],
)
async def test_every_page_is_sound_markup(raw_client: RawClient, path: str) -> None:
    assert not Page((await raw_client.ask("GET", path, headers=COOKIE)).body.decode()).broken


@pytest.mark.parametrize(
    "markup",
    [
        *("<p>", "<b><i></b></i>", '<p id="a"></p><p id="a"></p>', '<output for="x">1</output>', '<th scope="col"></th>'),
        *('<form role="search"></form><form role="search"></form>', '<time datetime="2023-11-14T22:13:22.000000Z">x</time>'),
        *('<label>At<input type="datetime-local" maxlength="64"></label>', '<input name="who">', "<button></button>"),
    ],
)
def test_the_laws_of_markup_find_what_breaks_them(markup: str) -> None:
    assert Page(markup).broken


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_shows_what_people_wrote_or_are_called(raw_client: RawClient, path: str) -> None:
    body = (await raw_client.ask("GET", path, headers=COOKIE)).body
    assert b"SECRET" not in body
    assert b"opal" in body


@pytest.mark.parametrize("path", [*PAGES, "/ops/login", "/ops/user?who=nobody"])
async def test_every_page_is_guarded(raw_client: RawClient, path: str) -> None:
    answer = await raw_client.ask("GET", path, headers=COOKIE)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    body = answer.body.decode()
    assert " style=" not in body
    assert "<style" not in body
    assert "://" not in body.replace("http://h2", "").replace("http://h3", ""), "nothing comes from elsewhere"


async def test_style_and_script_are_ours_and_may_be_kept(raw_client: RawClient) -> None:
    body = (await raw_client.ask("GET", "/ops/login")).body.decode()
    for name, kind in (("console.css", "text/css"), ("console.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        address = body.partition(f'"/ops/static/{name}')[2].partition('"')[0]
        answer = await raw_client.ask("GET", f"/ops/static/{name}{address}")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("console.html", "..%2fhttp.py", "%2e%2e%2fhttp.py"):
        assert (await raw_client.ask("GET", f"/ops/static/{name}")).status == 404


async def test_filters_reach_the_audit(raw_client: RawClient, console: StandInConsole) -> None:
    query = "user=ann&server=h1&topic=user.message_sent&message=m1&since=2023-11-14T22:13:20&until=2023-11-14T22:15&cursor=1.5:1"
    assert (await raw_client.ask("GET", f"/ops?{query}", headers=COOKIE)).status == 200
    wanted = AuditFilter(user=1, source="h1", topics=("user.message_sent",), message="m1", since=1_700_000_000.0, until=1_700_000_100.0)
    assert console.asked == [("log", ("opal", wanted, "1.5:1"))]


@pytest.mark.parametrize(
    "query",
    [
        "user=nobody",
        "since=yesterday",
        "until=0000-00-00T00:00",
        "since=0001-01-01T00:00",
        "nonsense=1",
        "user=a&user=b",
        "user=" + "x" * 65,
    ],
)
async def test_a_bad_filter_gets_one_clear_answer(raw_client: RawClient, console: StandInConsole, query: str) -> None:
    answer = await raw_client.ask("GET", f"/ops?{query}", headers=COOKIE)
    assert answer.status in (400, 422)
    assert b'role="alert"' in answer.body
    assert not console.asked


async def test_a_moment_may_come_from_the_slider_or_be_written(raw_client: RawClient, console: StandInConsole) -> None:
    for query in ("t=1700000000", "at=2023-11-14T22:13:20"):
        assert (await raw_client.ask("GET", f"/ops/presence?{query}", headers=COOKIE)).status == 200
    await raw_client.ask("GET", "/ops/presence", headers=COOKIE)
    assert [at for what, at in console.asked if what == "online"] == [1_700_000_000.0, 1_700_000_000.0, NOW]
    assert (await raw_client.ask("GET", "/ops/presence?t=999999999999999", headers=COOKIE)).status == 422


async def test_a_home_that_does_not_answer_is_not_shown_as_idle(raw_client: RawClient) -> None:
    body = (await raw_client.ask("GET", "/ops/homes", headers=COOKIE)).body.decode()
    first, second, third = (body.partition(f'id="home-{name}"')[2].partition("</tr>")[0] for name in ("h1", "h2", "h3"))
    assert "ready" in first
    assert "<td>7</td><td>5</td>" in first
    assert "no answer" in second
    assert "down" in third
    assert "retired" in third
    assert "<td>0</td>" not in second


@pytest.mark.parametrize(("failure", "status"), [(Unavailable("The store is away."), 503), (ZeroDivisionError("secret"), 500)])
async def test_what_fails_is_a_page_that_says_so(raw_client: RawClient, console: StandInConsole, failure: Exception, status: int) -> None:
    console.failure = failure
    answer = await raw_client.ask("GET", "/ops", headers=COOKIE)
    assert (answer.status, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert b"secret" not in answer.body
    assert b'role="alert"' in answer.body
    assert ("retry-after" in answer.headers) == (status == 503)
    answer = await raw_client.ask("GET", "/ops/dead", headers=COOKIE)
    assert answer.status == (200 if status == 503 else 500)
    assert b"No dead letters." not in answer.body


async def test_no_more_than_a_few_may_watch(console: StandInConsole) -> None:
    edge = global_edge(
        StandInGlobal(), Tokens(), pages=console_routes(console, OpsTokens(), TrustedProxies(), "http://public.example", Tails(console, 1))
    )
    await edge.start("127.0.0.1", 0)
    async with raw_client_to(edge.port) as first, raw_client_to(edge.port) as second:
        first.request("GET", "/ops/tail", headers=COOKIE)
        assert (await first.head())[0] == 200
        second.request("GET", "/ops/tail", headers=COOKIE)
        assert (await second.response()).status == 503
    await eventually(lambda: console.ended_tails == 1)
    async with raw_client_to(edge.port) as third:
        third.request("GET", "/ops/tail", headers=COOKIE)
        assert (await third.head())[0] == 200
    await edge.stop(drain_s=0.1)


async def test_a_popup_that_nobody_sent_has_no_picture(raw_client: RawClient) -> None:
    assert (await raw_client.ask("GET", "/ops/trace?message=none", headers=COOKIE)).status == 404
    body = (await raw_client.ask("GET", "/ops/trace?message=m1", headers=COOKIE)).body.decode()
    assert body.count("<circle") == 2
    assert "+1.00 s" in body


async def test_the_live_tail_sends_new_events_and_ends_with_its_reader(edge: EdgeServer, console: StandInConsole) -> None:
    async with raw_client_to(edge.port) as raw_client:
        raw_client.request("GET", "/ops/tail?user=ann&after=7", headers=COOKIE)
        status, headers, _ = await raw_client.head()
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        await eventually(lambda: console.tails)
        assert console.asked == [("tail", ("opal", AuditFilter(user=1), "7"))]
        console.tails[0].put_nowait([row(8), row(9)])
        console.tails[0].put_nowait([])
        told = await raw_client.until(b"\n\n")
        assert told.startswith(b"event: rows\nid: 9\ndata: ")
        rows = json.loads(told.partition(b"data: ")[2])["rows"]
        assert rows.index('id="e9"') < rows.index('id="e8"')
        assert await raw_client.until(b"\n\n") == b":\n\n"
    await eventually(lambda: console.ended_tails == 1)


async def test_a_tail_goes_on_where_the_browser_was(raw_client: RawClient, console: StandInConsole) -> None:
    raw_client.request("GET", "/ops/tail?after=7", headers={**COOKIE, "Last-Event-ID": "12"})
    await raw_client.head()
    await eventually(lambda: console.asked)
    assert console.asked[0][1][2] == "12"


async def test_a_tail_whose_reader_is_slow_keeps_nothing_for_it(edge: EdgeServer, console: StandInConsole) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port, limit=1)
    writer.write(b"GET /ops/tail HTTP/1.1\r\nHost: x\r\nCookie: flash_ops=ops-token\r\n\r\n")
    await eventually(lambda: console.tails)
    looks = console.tails[0]
    for _ in range(200):
        looks.put_nowait([row(number, id="x" * 50) for number in range(100)])
    await eventually(lambda: looks.qsize() < 200)
    seen: list[int] = []

    def stands_still() -> bool:
        seen.append(looks.qsize())
        return len(seen) > 20 and len(set(seen[-20:])) == 1

    await eventually(stands_still)
    assert looks.qsize() > 50, "what is not read is not asked for"
    writer.close()
    await eventually(lambda: console.ended_tails == 1)
    del reader
