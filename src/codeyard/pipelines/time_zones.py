"""The TimeZone of a DeploymentWindow: Region/City, UTC, UTC+HH:MM, or a short name such as PST.

Short names are Java's (java.time.ZoneId.SHORT_IDS), where CST is Chicago's and BST is Dhaka's. Regions come from the
machine's data of time zones, or else from the package tzdata: this module reads nothing else.
Source: docs.aws.amazon.com/codepipeline/latest/userguide/rule-reference-DeploymentWindow.html.
"""

import re
from datetime import UTC, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from codeyard.errors import Invalid

_REGION = re.compile(r"[A-Za-z]{2,20}(/[A-Za-z0-9_+-]{1,40}){1,2}")
_OFFSET = re.compile(r"(?:UTC|GMT)([+-])([01][0-9]):([0-5][0-9])")
_FARTHEST = timedelta(hours=18)  # java.time.ZoneOffset.MAX
_OWN = frozenset({"CET", "EET", "MET", "WET"})  # names in the data of time zones themselves
_FIXED = {"UTC": 0, "GMT": 0, "UCT": 0, "EST": -5, "MST": -7, "HST": -10}  # hours
_SHORT = {
    "ACT": "Australia/Darwin",
    "AET": "Australia/Sydney",
    "AGT": "America/Argentina/Buenos_Aires",
    "ART": "Africa/Cairo",
    "AST": "America/Anchorage",
    "BET": "America/Sao_Paulo",
    "BST": "Asia/Dhaka",
    "CAT": "Africa/Harare",
    "CNT": "America/St_Johns",
    "CST": "America/Chicago",
    "CTT": "Asia/Shanghai",
    "EAT": "Africa/Addis_Ababa",
    "ECT": "Europe/Paris",
    "IET": "America/Indiana/Indianapolis",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MIT": "Pacific/Apia",
    "NET": "Asia/Yerevan",
    "NST": "Pacific/Auckland",
    "PLT": "Asia/Karachi",
    "PNT": "America/Phoenix",
    "PRT": "America/Puerto_Rico",
    "PST": "America/Los_Angeles",
    "SST": "Pacific/Guadalcanal",
    "VST": "Asia/Ho_Chi_Minh",
}


def time_zone(text: str | None) -> tzinfo:
    """The zone of this name; None or nothing: UTC. Invalid if there is none."""
    if not text:
        return UTC
    if text in _FIXED:
        return timezone(timedelta(hours=_FIXED[text]), text)
    if offset := _OFFSET.fullmatch(text):
        sign, hours, minutes = offset.groups()
        away = timedelta(hours=int(hours), minutes=int(minutes))
        if away <= _FARTHEST:
            return timezone(away if sign == "+" else -away, text)
    name = _SHORT.get(text, text)
    if _REGION.fullmatch(name) is not None or name in _OWN:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: of a directory, such as America/Argentina
            pass
    fix = "Write Region/City such as Europe/Paris, UTC, UTC+02:00, or a short name such as PST."
    raise Invalid(f"time zone {text[:60]!r}", "there is none of this name.", fix)
