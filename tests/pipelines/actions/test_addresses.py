"""Which addresses no action may ask, however they are written."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.pipelines.actions import ActionFailed
from codeyard.pipelines.actions.addresses import checked_addresses, is_forbidden


@given(st.integers(0, 0xFFFF).map(lambda low: IPv4Address((169 << 24) + (254 << 16) + low)))
def test_link_local_is_forbidden_in_every_spelling(address: IPv4Address) -> None:
    whole, high, low = int(address), int(address) >> 16, int(address) & 0xFFFF

    assert is_forbidden(str(address))
    assert is_forbidden(f"::ffff:{address}")
    assert is_forbidden(f"64:ff9b::{high:x}:{low:x}")
    assert is_forbidden(f"2002:{whole >> 16:x}:{whole & 0xFFFF:x}::1")


@pytest.mark.parametrize("address", ["fe80::1", "fe80::1%eth0", "febf::1", "fd00:ec2::254", "100.100.100.200"])
def test_so_are_the_link_s_own_and_those_of_metadata(address: str) -> None:
    assert is_forbidden(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd00::1", "93.184.216.34"])
def test_private_networks_may_be_asked(address: str) -> None:
    assert not is_forbidden(address)


async def test_a_host_has_its_addresses_or_is_not_known() -> None:
    assert await checked_addresses("127.0.0.1", 80) == ["127.0.0.1"]
    for spelling in ("0xa9fea9fe", "2852039166", "169.254.43518"):  # as inet_aton reads them
        with pytest.raises(ActionFailed, match="link-local"):
            await checked_addresses(spelling, 80)
    with pytest.raises(ActionFailed, match="is not known"):
        await checked_addresses("a..b", 80)
