"""IP addresses of clients. Rule: an IPv4 address written as an IPv6 one (`::ffff:192.0.2.1`) counts as IPv4, and whoever holds one address
of IPv6 holds its whole network, so limits count networks.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

IP = IPv4Address | IPv6Address


def ip_of(text: str) -> IP | None:
    """`text` as an address; None when it is not one."""
    try:
        ip = ip_address(text)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def same_network(one: str, other: str) -> bool:
    """Whether two clients' addresses are in the same network: the same /24 of IPv4 or /64 of IPv6."""
    first, second = ip_of(one), ip_of(other)
    return first is not None and second is not None and second in ip_network((first, 24 if first.version == 4 else 64), strict=False)


def subscriber_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of IPv6 that one subscriber has."""
    return _counted(address, 64)


def site_of(address: str) -> str:
    """What counts as one address where a new identity is made: an IPv4 address, or the /48 of IPv6 that one site has."""
    return _counted(address, 48)


def _counted(address: str, prefix: int) -> str:
    ip = ip_of(address.partition("%")[0])  # a link-local address names its interface behind it
    if ip is None:
        return address
    return str(ip) if ip.version == 4 else str(ip_network((ip, prefix), strict=False))
