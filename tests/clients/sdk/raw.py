"""Requests that no method of the SDK makes, for tests of the protocol. Rule: they act for the user of the client that is given."""

from contextlib import aclosing
from typing import Any

from flash_sdk import FlashClient
from flash_sdk.requests import Http


class ClosableHttp(Http):
    """`Http` with the name that `aclosing` looks for."""

    async def aclose(self) -> None:
        await self.close()


async def post_home(client: FlashClient, path: str, body: Any) -> dict[str, Any]:
    """The answer of the user's home to a `POST`. Raises what the home refused with."""
    async with aclosing(ClosableHttp(timeout_s=30)) as http:
        return await http.call("POST", client.grant.home.url + path, token=client.grant.token, body=body)
