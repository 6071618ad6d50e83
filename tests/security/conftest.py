"""Attacks are tried on each executor that works on this machine."""

from tests.acceptance.conftest import machine, yard

__all__ = ["machine", "yard"]
