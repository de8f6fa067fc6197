"""IP addresses of clients. Rule: an IPv4 address written as an IPv6 one (`::ffff:192.0.2.1`) counts as IPv4."""

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
