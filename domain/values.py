"""The values that events carry, with their bounds. Rule: they are checked where the bytes of another server come in; what this server
decides itself is in bounds already, and its own log is read as it stands.

The bounds are those of the calls (`edge/contracts/requests.py`), because an honest home lets nothing else in.
"""

from typing import Annotated

from msgspec import Meta

BIGGEST = 2**63 - 1  # what every store and every client language can hold
LAST_MOMENT = 253_402_300_799  # seconds since 1970: 9999-12-31T23:59:59Z; RFC 3339 cannot write a later time
MAX_TEXT_CHARS = 4_096
MAX_TEXT_BYTES = 16_384
CONTROL = r"\u0000-\u0008\u000b-\u001f\u007f-\u009f"  # names are shown in popups and terminals, where these could move the cursor

Uid = Annotated[int, Meta(ge=1, le=BIGGEST)]
Number = Annotated[int, Meta(ge=0, le=BIGGEST)]
Moment = Annotated[float, Meta(ge=0, le=LAST_MOMENT)]  # seconds since 1970, UTC
Id = Annotated[str, Meta(min_length=1, max_length=64)]  # of a message, chosen by a client
SessionId = Annotated[str, Meta(max_length=96)]  # one of ours, with the life of a restored log before it
Cause = Annotated[str, Meta(max_length=255)]
Handle = Annotated[str, Meta(max_length=32)]
HomeName = Annotated[str, Meta(max_length=32)]
Name = Annotated[str, Meta(max_length=500, pattern=f"^[^{CONTROL}]*$")]
Note = Annotated[str, Meta(max_length=256)]
Text = Annotated[str, Meta(max_length=MAX_TEXT_CHARS)]
Word = Annotated[str, Meta(max_length=64)]  # why something happened, or how it is now
Status = Annotated[str, Meta(pattern="^(online|away|dnd|offline)$")]
