"""Homes at the Global Server: announced, moved, retired, back again."""

import pytest

from domain.errors import Invalid
from domain.events.global_server import HomeAnnounced, HomeRetired
from domain.registry.commands import AnnounceHome, RetireHome
from domain.rules.global_server import RULES
from tests.domain.given import NOW, Story

given = Story.of(RULES)
WHEN = {"at": NOW, "cause": "c1"}
H1 = HomeAnnounced(name="h1", url="http://127.0.0.1:8081", **WHEN)
RETIRED = HomeRetired(name="h1", **WHEN)


def announce(name="h1", url="http://127.0.0.1:8081"):
    return AnnounceHome(name=name, url=url, cause="c1")


def test_a_new_home_is_announced():
    given().when(announce(url="http://127.0.0.1:8081/")).then(H1)


def test_a_known_home_says_nothing_new():
    given(H1).when(announce()).then_nothing()


def test_a_home_moves():
    given(H1).when(announce(url="https://h1.example")).then(HomeAnnounced(name="h1", url="https://h1.example", **WHEN))


def test_a_home_retires_once_and_may_come_back():
    retire = RetireHome(name="h1", cause="c1")
    given(H1).when(retire).then(RETIRED)
    given(H1, RETIRED).when(retire).then_nothing()
    given(H1, RETIRED).when(announce()).then(H1)


def test_nobody_retires_a_home_that_never_was():
    given().when(RetireHome(name="h9", cause="c1")).then_nothing()


@pytest.mark.parametrize("name", ["", "H1", "1h", "h.1", "h*", "global", "h" * 33])
def test_a_home_name_fits_queues_and_routing_keys(name):
    given().when(announce(name=name)).refuses(Invalid, field="name")


@pytest.mark.parametrize("url", ["", "h1:8081", "ftp://h1", "http://", "http://h1 x", "http://h1/?q"])
def test_a_home_url_is_absolute(url):
    given().when(announce(url=url)).refuses(Invalid, field="url")
