"""Opal audits: every page of the console in a real browser, by keyboard, in light and dark. Rule: nothing is reloaded that must live."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.edge.console.browser.conftest import House, bury, sign_in
from tests.support.chromium import Page
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = ("/ops", "/ops/user?who=ann", "/ops/presence", "/ops/homes", "/ops/dead")
MARK = "window.stillHere = true"
ROWS = "[...document.querySelectorAll('#events tbody tr')]"
# Contrast of every text against what is behind it, by the formula of WCAG 2; the worst ones.
CONTRAST = """(() => {
  const rgb = (css) => css.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll("body *")].filter((e) => own(e) && e.checkVisibility() && !e.closest("svg"))
    .map((e) => { const a = light(rgb(getComputedStyle(e).color)), b = light(behind(e));
      return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.tagName, e.textContent.slice(0, 30)]; })
    .filter(([ratio]) => ratio < 4.5); })()"""


async def keep(page: Page, name: str) -> None:
    """Keep a picture where `FLASH_PICTURES` says."""
    if folder := os.environ.get("FLASH_PICTURES"):
        picture = await page.picture()
        await asyncio.to_thread((Path(folder) / f"ops-{name}.png").write_bytes, picture)


async def test_a_stranger_signs_in_by_keyboard_and_comes_to_where_they_wanted(house: House, stranger: Page) -> None:
    await stranger.goes_to(f"{house.url}/ops/presence?t=1")
    assert await stranger.says("location.pathname") == "/ops/login"
    await sign_in(stranger, "opal")
    assert await stranger.says("location.pathname + location.search") == "/ops/presence?t=1"
    assert await stranger.says("document.cookie") == "", "no script can read the cookie"
    await stranger.send("Network.deleteCookies", name="flash_ops", url=f"{house.url}/ops")  # as if it had expired
    await stranger.tabs_to("e.id === 'moment-slider'")
    await stranger.presses("ArrowRight")
    await stranger.until("location.pathname === '/ops/login'")
    await sign_in(stranger, "opal")
    await stranger.tabs_to("e.textContent === 'Sign out opal'")
    await stranger.loads_after(stranger.presses("Enter"))
    await stranger.goes_to(f"{house.url}/ops")
    assert await stranger.says("location.pathname") == "/ops/login"


async def test_who_lacks_the_role_is_told_so(house: House, stranger: Page) -> None:
    await stranger.goes_to(f"{house.url}/ops")
    await sign_in(stranger, "ann")
    assert "with the role ops" in await stranger.says("document.querySelector('[role=alert]').textContent")
    stranger.complaints = [each for each in stranger.complaints if "403" not in each]  # the browser's own word for it


async def test_filters_show_what_was_asked_for(house: House, opal: Page) -> None:
    await opal.goes_to(f"{house.url}/ops")
    await opal.tabs_to("e.name === 'user'")
    await opal.types("bob")
    await opal.tabs_to("e.name === 'topic'")
    await opal.says("document.activeElement.value = 'mailbox.message_queued'")
    await opal.loads_after(opal.says("document.activeElement.form.requestSubmit()"))
    assert await opal.says(f"{ROWS}.map((row) => row.cells[2].querySelector('code').textContent)") == ["mailbox.message_queued"]
    assert await opal.says(f"{ROWS}.map((row) => row.cells[3].textContent)") == ["bob"]
    assert "SECRET" not in await opal.says("document.body.textContent")


async def test_new_events_appear_by_themselves(house: House, opal: Page) -> None:
    await opal.goes_to(f"{house.url}/ops")
    await opal.says(MARK)
    await opal.until("document.querySelector('#live-state').textContent === 'connected'")
    before = await opal.says(f"{ROWS}.length")
    accepted = await house.ann.send(house.bob.grant.uid, "SECRET AGAIN")
    await opal.until(
        f"{ROWS}.some((row) => row.textContent.includes('mailbox.message_queued') && row.textContent.includes('{accepted.id[:12]}'))"
    )
    assert await opal.says("window.stillHere")
    assert await opal.says(f"{ROWS}.length") > before
    ids = await opal.says(f"{ROWS}.map((row) => row.id)")
    assert len(ids) == len(set(ids)), "nothing is shown twice"
    await keep(opal, "events")
    await opal.tabs_to("e.id === 'live'")
    await opal.presses(" ")
    assert await opal.says("document.querySelector('#live-state').textContent") == "paused"


async def test_the_looking_itself_is_seen(house: House, opal: Page) -> None:
    await opal.goes_to(f"{house.url}/ops?topic=audit.read")
    await opal.until(f"{ROWS}.some((row) => row.cells[4].textContent.includes('topic audit.read'))")
    assert await opal.says(f"{ROWS}.every((row) => row.cells[4].textContent.includes('opal'))")


async def test_a_users_timeline_and_window(house: House, opal: Page) -> None:
    await opal.goes_to(f"{house.url}/ops")
    await opal.tabs_to("e.name === 'who'")
    await opal.types("ann")
    await opal.loads_after(opal.presses("Enter"))
    text = await opal.says("document.querySelector('main').textContent")
    assert "user.contact_added" in text
    assert "user.message_sent" in text
    window = await opal.says("[...document.querySelectorAll('main table')][0].tBodies[0].textContent")
    assert "bob" in window
    assert "offline" in window
    await opal.goes_to(f"{house.url}/ops/user?who=ann&at=2001-01-01T00:00")
    text = await opal.says("document.querySelector('main').textContent")
    assert "No contacts." in text
    assert "Nothing happened." in text


async def test_a_popups_way_is_a_picture(house: House, opal: Page) -> None:
    await opal.goes_to(f"{house.url}/ops/trace?message={house.message}")
    steps = await opal.says("[...document.querySelectorAll('svg .step')].map((e) => e.textContent)")
    assert steps[:3] == ["sent", "queued", "delivered"]
    assert "done" in steps
    assert await opal.says("[...document.querySelectorAll('svg .server')].map((e) => e.textContent)") == ["h1", "h2"]
    assert await opal.says("document.querySelectorAll('svg .arrow').length") == len(steps) - 1
    assert all(
        took.startswith(("+", "-")) for took in await opal.says("[...document.querySelectorAll('svg .took')].map((e) => e.textContent)")
    )
    overlaps = """(() => { const boxes = [...document.querySelectorAll("svg text")]
      .map((e) => [e.textContent, e.getBoundingClientRect()]);
      const meet = (p, q) => p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 2 && q.top < p.bottom - 2;
      return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) => meet(p, q)).map(([b]) => [a, b])); })()"""
    assert await opal.says(overlaps) == []
    await keep(opal, "trace")


async def test_presence_at_a_past_moment_follows_the_slider(house: House, opal: Page) -> None:
    came, left = house.past
    await opal.goes_to(f"{house.url}/ops/presence")
    assert "pia" not in await opal.says("document.querySelector('#moment').textContent")
    await opal.says(MARK)
    await opal.tabs_to("e.id === 'moment-slider'")
    await opal.presses("Home")
    for _ in range(8):  # from her adoption to after she came: a page of the slider is a tenth of it
        await opal.presses("ArrowRight")
    await opal.presses("PageUp", "PageUp")
    await opal.until("document.querySelector('#moment').textContent.includes('pia')")
    assert await opal.says("window.stillHere")
    at = int(await opal.says("document.querySelector('#moment-slider').value"))
    assert came <= at < left
    await opal.until(f"location.search === '?t={at}'")
    await keep(opal, "presence")
    await opal.presses("End")
    await opal.until("!document.querySelector('#moment').textContent.includes('pia')")


async def test_the_slider_works_without_a_script(house: House, opal: Page) -> None:
    came, left = house.past
    await opal.send("Emulation.setScriptExecutionDisabled", value=True)
    await opal.goes_to(f"{house.url}/ops/presence?t={(came + left) // 2}")
    await opal.send("Emulation.setScriptExecutionDisabled", value=False)
    assert "pia" in await opal.says("document.querySelector('#moment').textContent")
    assert await opal.says("document.querySelector('#live-switch') === null")


async def test_dead_letters_go_back_and_away_by_keyboard(house: House, opal: Page) -> None:
    await bury(house, b"\xffjunk")
    await opal.goes_to(f"{house.url}/ops/dead")
    assert "flash.home.h1" in await opal.says("document.querySelector('main tbody').textContent")
    await keep(opal, "dead")
    deaths = house.home.lifecycle.inbox.dead
    await opal.tabs_to("e.textContent === 'Requeue'")
    await opal.loads_after(opal.presses("Enter"))
    assert "1 put back" in await opal.says("document.querySelector('[role=status]').textContent")
    await eventually(lambda: house.home.lifecycle.inbox.dead == deaths + 1)  # the home had it again, and it is still junk
    await eventually(lambda: _dead(house, 1))
    await opal.goes_to(f"{house.url}/ops/dead")
    await opal.tabs_to("e.tagName === 'SUMMARY'")
    await opal.presses("Enter")
    await opal.tabs_to("e.textContent === 'Drop for good'")
    await opal.loads_after(opal.presses("Enter"))
    assert "No dead letters." in await opal.says("document.querySelector('main tbody').textContent")
    assert await house.broker.dead_letters() == []


async def test_the_homes_are_shown_and_kept_up_to_date(house: House, opal: Page) -> None:
    await opal.goes_to(f"{house.url}/ops/homes")
    await opal.says(MARK)
    assert await opal.says("[...document.querySelectorAll('tbody tr')].map((row) => row.id)") == ["home-h1", "home-h2"]
    state = "document.querySelector('#home-h1').cells[1].textContent"
    assert await opal.says(state) == "ready"
    await keep(opal, "homes")
    house.home.verifier.set_keys(())  # now it is not ready, and says why
    await opal.until(f"{state}.includes('public key is not known')")
    assert await opal.says("window.stillHere")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_everything_can_be_read_in_light_and_dark(house: House, opal: Page, dark: bool) -> None:
    await opal.looks(dark=dark)
    for path in (*PAGES, f"/ops/trace?message={house.message}"):
        await opal.goes_to(house.url + path)
        assert await opal.says(CONTRAST) == [], path
        paper = await opal.says("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        assert (max(paper) < 64) if dark else (min(paper) > 192)
    if dark:
        await keep(opal, "dark")


async def test_small_screens_need_no_scrolling_sideways(house: House, opal: Page) -> None:
    await opal.looks(width=360, height=700)
    for path in (*PAGES, f"/ops/trace?message={house.message}"):
        await opal.goes_to(house.url + path)
        assert await opal.says("document.documentElement.scrollWidth") <= 360, path
    await keep(opal, "small")


async def test_every_control_has_a_name_and_shows_the_focus(house: House, opal: Page) -> None:
    for path in PAGES:
        await opal.goes_to(house.url + path)
        nameless = """[...document.querySelectorAll("input:not([type=hidden]), select, button, a")]
          .filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map((e) => e.outerHTML)"""
        assert await opal.says(nameless) == [], path
        await opal.presses("Tab")
        assert await opal.says("document.activeElement.className") == "skip"
        assert await opal.says("getComputedStyle(document.activeElement).outlineStyle") == "solid"


async def test_markup_that_slipped_in_could_run_nothing(house: House, opal: Page) -> None:
    await opal.goes_to(f"{house.url}/ops/homes")
    for slip in ("s=document.createElement('script');s.textContent='window.ran=1';document.body.append(s)",
                 "document.body.insertAdjacentHTML('beforeend','<img src=x onerror=\"window.ran=1\">')"):  # fmt: skip
        await opal.says(slip + ";0")
    await eventually(lambda: len(opal.complaints) >= 2)
    assert await opal.says("window.ran === undefined")
    assert all("Content Security Policy" in each or "404" in each for each in opal.complaints)
    opal.complaints.clear()


async def _dead(house: House, letters: int) -> bool:
    return len(await house.broker.dead_letters()) == letters
