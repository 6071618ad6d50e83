"""Calls as a gateway would make them, for tests that ask a handler directly."""

from typing import Any

from codeyard.aws import Call, Caller

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROOT = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)


def call(service: str, operation: str, region: str = REGION, caller: Caller = ROOT, **given: Any) -> Call:
    """A call of this operation with this input, by the account's root unless told."""
    return Call(service, operation, given, caller, region, "00000000-0000-0000-0000-000000000000")
