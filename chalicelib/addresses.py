"""Which addresses belong to the public internet, and so may be connected to on a stranger's word."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Where a translator stands for the IPv4 address in the last 32 bits (RFC 6052)."""

SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "fec0::/10", "3fff::/20")))
"""For protocols, for what is retired (6to4 relays, site-local) and for examples: not all Pythons know that."""


def is_address(host: str) -> bool:
    return _parsed(host) is not None


def is_public(host: str) -> bool:
    """Whether `host` is an IP address of the public internet, and so is every address that it carries inside.

    It is not if it is private, loopback, link-local, unique local, shared, multicast or reserved.
    """
    address = _parsed(host)
    if isinstance(address, ipaddress.IPv6Address):
        stands_for = address.ipv4_mapped
        if address in NAT64:
            stands_for = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if stands_for is not None:
            return _is_public(stands_for)
        carried = [one for one in (address.sixtofour, *(address.teredo or ())) if one is not None]
        return all(map(_is_public, (address, *carried)))
    return address is not None and _is_public(address)


def _is_public(address: Address) -> bool:
    usual = address.is_global and not address.is_multicast and not address.is_reserved
    return usual and not any(address in network for network in SPECIAL)


def _parsed(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
