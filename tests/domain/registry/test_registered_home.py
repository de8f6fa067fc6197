"""Homes at the Global Server: enrolled, announced, moved, retired, back again."""

import pytest

from domain.errors import Forbidden, Invalid
from domain.event import stored_fields as fields
from domain.events.global_server import CertificateIssued, HomeAnnounced, HomeEnrolled, HomeRetired, HomeRevoked, UrlAllowed
from domain.registry.commands import AllowUrl, AnnounceHome, CertifyHome, EnrolHome, RetireHome, RevokeHome
from domain.registry.state import HomeState
from domain.rules.global_server import RULES
from tests.domain.given import NOW, Story

given = Story.of(RULES)
WHEN = {"at": NOW, "cause": "c1"}
URL = "http://127.0.0.1:8081"
KEY, OTHER_KEY = "aa" * 32, "bb" * 32
ENROLLED = HomeEnrolled(name="h1", key=KEY, **WHEN)
ALLOWED = UrlAllowed(name="h1", url=URL, **WHEN)
FIRST = CertificateIssued(name="h1", number=1, expires=NOW + 1, life=0, certificate="c0de", **WHEN)
H1 = HomeAnnounced(name="h1", url=URL, **WHEN)
RETIRED = HomeRetired(name="h1", **WHEN)
REVOKED = HomeRevoked(name="h1", number=1, homes=["h1", "h2"], **WHEN)
KNOWN = (ALLOWED, ENROLLED, FIRST)


def enrol(name="h1", url=URL, key=KEY, number=1, by_ops=True):
    return EnrolHome(name=name, key=key, url=url, by_ops=by_ops, number=number, expires=NOW + 1, life=0, certificate="c0de",
                     homes=["h2", "h1"], cause="c1")  # fmt: skip


def announce(name="h1", url="http://127.0.0.1:8081"):
    return AnnounceHome(name=name, url=url, cause="c1")


def test_a_new_home_is_announced():
    given(*KNOWN).when(announce(url="http://127.0.0.1:8081/")).then(H1)


def test_a_known_home_says_nothing_new():
    given(*KNOWN, H1).when(announce()).then_nothing()


def test_a_home_moves_when_that_was_allowed():
    moved = {"name": "h1", "url": "https://h1.example", **WHEN}
    given(*KNOWN, H1).when(announce(url="https://h1.example")).refuses(Forbidden)
    given(*KNOWN, H1).when(AllowUrl(name="h1", url="https://h1.example/", cause="c1")).then(UrlAllowed(**moved))
    given(*KNOWN, H1, UrlAllowed(**moved)).when(announce(url="https://h1.example")).then(HomeAnnounced(**moved))


def test_a_home_that_nobody_enrolled_is_not_announced():
    given().when(announce()).refuses(Forbidden)
    given(ALLOWED).when(announce()).refuses(Forbidden)


def test_a_home_of_an_older_log_keeps_its_url_and_needs_to_be_enrolled():
    given(H1).when(announce()).refuses(Forbidden)
    given(H1).when(enrol(by_ops=False)).then(ENROLLED, FIRST)


def test_who_has_a_secret_is_enrolled():
    given().when(enrol()).then(*KNOWN)
    given(*KNOWN, H1).when(enrol(number=2)).then(CertificateIssued(**{**fields(FIRST), "number": 2}))


def test_another_key_takes_a_name_over_only_when_a_person_says_so():
    second = {**fields(FIRST), "number": 2}
    given(*KNOWN, H1).when(enrol(key=OTHER_KEY, number=2, by_ops=False)).refuses(Forbidden)
    given(*KNOWN, H1).when(enrol(key=OTHER_KEY, number=2)).then(
        REVOKED, HomeEnrolled(name="h1", key=OTHER_KEY, **WHEN), CertificateIssued(**second)
    )


def test_a_revoked_home_is_nobody_until_a_person_enrols_it_again():
    revoke = RevokeHome(name="h1", homes=["h2", "h1"], cause="c1")
    certify = CertifyHome(name="h1", number=2, expires=NOW + 1, life=0, certificate="c0de", cause="c1")
    given(*KNOWN, H1).when(revoke).then(REVOKED)
    given(*KNOWN, H1, REVOKED).when(revoke).then_nothing()
    given(*KNOWN, H1, REVOKED).when(announce()).refuses(Forbidden)
    given(*KNOWN, H1, REVOKED).when(certify).refuses(Forbidden)
    given(*KNOWN, H1, REVOKED).when(enrol(number=2, by_ops=False)).refuses(Forbidden)
    given(*KNOWN, H1, REVOKED).when(enrol(number=2)).then(ENROLLED, CertificateIssued(**{**fields(FIRST), "number": 2}))


def test_numbers_of_certificates_only_rise():
    given(*KNOWN).when(enrol(number=1)).refuses(Forbidden)


def test_a_snapshot_of_before_enrolment_is_read():
    state = HomeState("home-h1")
    state.from_snapshot(["http://h1", False])
    assert (state.url, state.enrolled) == ("http://h1", False)


def test_a_home_retires_once_and_may_come_back():
    retire = RetireHome(name="h1", cause="c1")
    given(*KNOWN, H1).when(retire).then(RETIRED)
    given(*KNOWN, H1, RETIRED).when(retire).then_nothing()
    given(*KNOWN, H1, RETIRED).when(announce()).then(H1)


def test_nobody_retires_a_home_that_never_was():
    given().when(RetireHome(name="h9", cause="c1")).then_nothing()


@pytest.mark.parametrize("name", ["", "H1", "1h", "h.1", "h*", "global", "h" * 33])
def test_a_home_name_fits_queues_and_routing_keys(name):
    given().when(announce(name=name)).refuses(Invalid, field="name")


@pytest.mark.parametrize("url", ["", "h1:8081", "ftp://h1", "http://", "http://h1 x", "http://h1/?q"])
def test_a_home_url_is_absolute(url):
    given().when(announce(url=url)).refuses(Invalid, field="url")
