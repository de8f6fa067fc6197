"""Errors as one sentence for the person at the window. Rule: it says what went wrong and what to do, and quotes no code."""

import ssl

from flash_sdk import FlashClientError, ProtocolError, Refused, TryLater, Unauthorized, Unreachable

_REFUSALS = {
    "bad_credentials": "Handle or password is wrong.",
    "handle_taken": "This handle is taken: choose another one.",
    "too_many_requests": "Too many tries just now: wait a minute and try again.",
    "unknown_user": "There is no such user.",
    "not_a_contact": "they are not on your contact list",
    "too_large": "the text is too long",
    "not_your_home": "You have moved to another home: sign in again.",
}


def sentence(error: Exception) -> str:
    """The sentence for an error. An unknown refusal keeps the server's own words."""
    if isinstance(error, Unauthorized):
        return "Your login has expired: sign in again."
    if isinstance(error, TryLater) and error.code not in _REFUSALS:
        return "The server cannot do this right now: try again in a moment."
    if isinstance(error, Refused):
        return _REFUSALS.get(error.code, error.detail)
    if isinstance(error, Unreachable):
        if isinstance(error.__cause__, ssl.SSLError):
            return "The server's certificate is not one that this computer trusts: is the address right?"
        return f"{error.detail[:1].upper()}{error.detail[1:]}. Is the address right, and are you online?"
    if isinstance(error, ProtocolError):
        return "What answers at this address is not Flash: is the address right, or is there a login page in between?"
    if isinstance(error, FlashClientError):
        return error.detail
    return str(error) or type(error).__name__
