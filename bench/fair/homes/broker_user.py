"""The rights of the hostile home's user of RabbitMQ. Rule: it has what `deploy/rabbitmq/permissions.sh` grants, and for one row more."""

import json

from yarl import URL

from bench.fair.homes.hostile import NAME
from broker import topology
from tests.support.rabbitmq_choice import AnyRabbit
from tests.support.rabbitmq_users import printed


def let_it_make_its_queue(rabbit: AnyRabbit, url: str) -> None:
    """Also the right to delete, make and bind its own queue, which homes had before; where nobody has granted anew, they have it still."""
    vhost = URL(url).path.removeprefix("/")
    granted = json.loads(f"{{{printed('-j', NAME, vhost)}}}")["permissions"][0]
    own, homes = (name.replace(".", r"\.") for name in (topology.inbox(NAME).name, topology.HOMES))
    more = {"configure": f"^{own}$", "write": f"^{own}$", "read": f"^{homes}$"}
    rabbit.ctl("set_permissions", "-p", vhost, NAME, *(f"{granted[right]}|{pattern}" for right, pattern in more.items()))
