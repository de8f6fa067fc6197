"""Which handles and profile fields a user may have. Rule: everything that is stored of them has passed through here."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Literal, get_args

from domain.errors import Invalid
from domain.values import CONTROL

ProfileField = Literal["full_name", "email", "phone", "organisation", "street", "city", "state", "country", "note"]
PROFILE_FIELDS: tuple[str, ...] = get_args(ProfileField)

MAX_FIELD_CHARS = 500  # a full postal address fits; nine fields are less than 20 KB, even of four-byte characters
MAX_NORMAL_CHARS = 1_000  # once searches have made plain letters of it: one sign may stand for 18 (U+FDFA), but no text consists of those
HANDLE = re.compile(r"[a-z][a-z0-9._-]{1,31}")
UNPRINTABLE = re.compile(rf"[{CONTROL}\ud800-\udfff]")  # a lone surrogate is no text at all


def clean_handle(handle: str) -> str:
    """The handle as it is stored and compared: lower case. Raises `Invalid`."""
    lowered = handle.lower()
    if not handle.isascii() or not HANDLE.fullmatch(lowered):  # lower() would turn a few foreign characters into plain letters
        raise Invalid("handle", "2 to 32 of a-z 0-9 . _ -, starting with a letter")
    return lowered


def clean_changes(profile: Mapping[str, str | None]) -> dict[str, str | None]:
    """The profile fields to be set, trimmed; `None` for a field to be emptied (it was given as `None` or blank). Raises `Invalid`."""
    changes: dict[str, str | None] = {}
    for field, value in profile.items():
        name = f"profile.{field}"
        if field not in PROFILE_FIELDS:
            raise Invalid(name, "one of " + ", ".join(PROFILE_FIELDS))
        if value is not None and not isinstance(value, str):
            raise Invalid(name, "text")
        text = (value or "").strip()
        if len(text) > MAX_FIELD_CHARS:
            raise Invalid(name, f"at most {MAX_FIELD_CHARS} characters")
        if not text.isascii() and len(unicodedata.normalize("NFKC", text)) > MAX_NORMAL_CHARS:
            raise Invalid(name, f"at most {MAX_NORMAL_CHARS} characters, counted as they are searched")
        if UNPRINTABLE.search(text):
            raise Invalid(name, "text without control characters")
        changes[field] = text or None
    return changes


def clean_profile(profile: Mapping[str, str | None]) -> dict[str, str]:
    """A new user's profile: the filled-in fields only, trimmed. Raises `Invalid`."""
    return {field: text for field, text in clean_changes(profile).items() if text}


def display_name(handle: str, profile: Mapping[str, str]) -> str:
    """What others see: the full name, or else the handle."""
    return profile.get("full_name") or handle


def with_changes(profile: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """A new profile: `profile` with the fields of `changes` set, or left out where `None`."""
    return {name: text for name, text in {**profile, **changes}.items() if text is not None}
