"""Which addresses an action may ask: all but those that stand for this machine's own link or its cloud's secrets."""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from codeyard.pipelines.actions import ActionFailed, ErrorCode

_NAT64 = IPv6Network("64:ff9b::/96")
# Where clouds hand out credentials outside of the link-local range: AWS by IPv6, Alibaba, Oracle.
_METADATA = frozenset(ip_address(each) for each in ("fd00:ec2::254", "fd00:ec2::23", "100.100.100.200", "192.0.0.192"))


def is_forbidden(text: str) -> bool:
    """Whether the address, as getaddrinfo gives it, is link-local (169.254/16, fe80::/10) or a metadata service's."""
    address = _plain(ip_address(text.partition("%")[0]))
    return address.is_link_local or address in _METADATA


async def checked_addresses(host: str, port: int) -> list[str]:
    """The addresses of the host, in the order to try. ActionFailed: it has none, or a forbidden one among them."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ActionFailed(ErrorCode.JOB_FAILED, f"The host {host} is not known") from None
    addresses = [str(each[4][0]) for each in found]
    if any(is_forbidden(each) for each in addresses):
        text = f"The host {host} has a link-local address or that of a metadata service, which no action may ask"
        raise ActionFailed(ErrorCode.CONFIGURATION, text)
    return addresses


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that is written as one of IPv6, as itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address
