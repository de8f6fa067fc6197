"""IP addresses of clients. Rule: an IPv4 address in IPv6's clothes is an IPv4 one."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

IP = IPv4Address | IPv6Address


def ip_of(text: str) -> IP | None:
    """The address that `text` is; None for a name, or nothing."""
    try:
        ip = ip_address(text)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def same_network(one: str, other: str) -> bool:
    """Whether two clients are seen at neighbouring addresses: the same /24 of IPv4 or /64 of IPv6."""
    first, second = ip_of(one), ip_of(other)
    return first is not None and second is not None and second in ip_network((first, 24 if first.version == 4 else 64), strict=False)
