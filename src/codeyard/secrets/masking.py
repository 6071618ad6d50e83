"""Hide secrets in a stream of bytes, as it flows: whatever the cuts, the same bytes come out.

Decides which spellings of a value are looked for, and replaces what they cover. Does no I/O.

What is hidden: the value; each line of it; its URL-encoded, JSON-escaped and shell-quoted spellings; what it becomes
in base64, alone or anywhere inside a longer text, broken into lines of 64 or 76 or not; the texts in it if it is a
JSON object; and every AWS access key id (CodeBuild hides those too). docs/secrets.md says what is not.
"""

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from urllib.parse import quote, quote_plus

from codeyard.secrets import MASK

# Shorter values are no secrets (three characters are tried out in a minute), and hiding them would star out the log.
SHORTEST_VALUE = 3
# A line of a value of many lines is hidden by itself only if it says something: not `{` or `data:`.
SHORTEST_LINE = 8
# Below this, what is left of a base64 spelling without its ends would be found in ordinary words.
SHORTEST_ENCODED = 6

_KEY_ID = re.compile(rb"A[KS]IA[A-Z0-9]{16}")
_KEY_ID_BEGUN = re.compile(rb"A(?:[KS](?:I(?:A[A-Z0-9]{0,15})?)?)?\Z")
_KEY_ID_LENGTH = 20
# The line lengths of PEM and openssl (64), and of MIME and the base64 command (76). A return at the very end may be
# half of a line's end.
_WRAPPED = re.compile(rb"\n[A-Za-z0-9+/_-]{64}(?:[A-Za-z0-9+/_-]{12})?(\r?\n|\r\Z)")
_WRAPPED_LENGTH = 1 + 76 + 2
_HEAD = 4  # bytes of a needle by which its beginning is sought in a tail
_GRAM = 8  # bytes by which many long needles are sought at once
_LONG, _MANY = 24, 16

# What AWS's own rotation functions keep beside the password. Secrets Manager guide, JSON structure of secrets.
_KNOWN_KEYS = frozenset(
    {"engine", "host", "port", "username", "dbname", "dbInstanceIdentifier", "dbClusterIdentifier", "masterarn"}
)
_SHELL_SAFE = re.compile(r"[^A-Za-z0-9_@%+=:,./\n-]")


class Masker:
    """One stream's mask. `feed` it, then `flush` it.

    It keeps back only a tail that may be the beginning of something to hide: at most the longest spelling, mostly
    nothing. Occurrences that overlap or touch become one `***`.
    """

    def __init__(self, values: Iterable[str | bytes] = ()) -> None:
        """Empty values, and those shorter than SHORTEST_VALUE bytes, hide nothing."""
        found = list(dict.fromkeys(_with_parts(values)))
        self._plain = _Needles(spelling for value in found for spelling in _spellings(value))
        self._encoded = _Needles(core for value in found for core in _encodings(value))
        self._begin()

    def _begin(self) -> None:
        self._held = b""  # read, not yet written
        self._covered = 0  # of the held bytes, those at the front which are within something to hide
        self._inside = False  # the last byte written was hidden
        self._before = b"\n"  # what was read before the held bytes: enough to know a wrapped line

    @property
    def pending(self) -> int:
        """Bytes kept back. At 0 a new Masker may take over from here; best just after a line's end."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """What may be shown after `data` has come."""
        return self._advance(self._held + data if self._held else data, last=False)

    def flush(self) -> bytes:
        """What was kept back; the stream is at its end, and another may be fed."""
        rest = self._advance(self._held, last=True)
        self._begin()
        return rest

    def text(self, text: str) -> str:
        """`text` with its secrets hidden. The stream is not touched."""
        other = object.__new__(Masker)
        other._plain, other._encoded = self._plain, self._encoded
        other._begin()
        shown = other.feed(text.encode(errors="surrogateescape")) + other.flush()
        return shown.decode(errors="surrogateescape")

    def _advance(self, data: bytes, *, last: bool) -> bytes:
        view = _View(self._before, data) if self._encoded else None
        end = len(data)
        if not last:
            end = min(end, _key_id_begun(data), self._plain.begun(data))
            end = end if view is None else min(end, view.begun(self._encoded))
        spans = [*_key_ids(data), *self._plain.spans(data)]
        if view is not None:
            spans += view.spans(self._encoded)
        if self._covered:
            spans.append((0, self._covered))
        shown = self._render(data, end, sorted(span for span in spans if span[0] < end))
        if self._encoded:
            self._before = (self._before + data[max(end - _WRAPPED_LENGTH, 0) : end])[-_WRAPPED_LENGTH:]
        self._held = data[end:]
        return shown

    def _render(self, data: bytes, end: int, spans: Sequence[tuple[int, int]]) -> bytes:
        """`data[:end]` with the sorted spans hidden; keeps in mind how far the last of them reaches beyond."""
        if end == 0:
            return b""
        if not spans:
            self._inside = False
            return data[:end]
        shown, hidden = [], 0 if self._inside else -1
        for start, stop in spans:
            if start > hidden:
                shown += [data[max(hidden, 0) : start], MASK.encode()]
            hidden = max(hidden, stop)
        shown.append(data[hidden:end])
        self._covered, self._inside = max(hidden - end, 0), hidden >= end
        return b"".join(shown)


class _Needles:
    """Byte strings to look for.

    Each by itself, for `bytes.find` runs at gigabytes a second and an `re` of many does not. Only many long ones are
    first sought together: whoever reads eight bytes at every n-th place meets any needle that is n + 7 long.
    """

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._needles = tuple(dict.fromkeys(needles))
        sieved = [needle for needle in self._needles if len(needle) >= _LONG]
        self._sieved = sieved if len(sieved) >= _MANY else []
        chosen = set(self._sieved)
        self._alone = [needle for needle in self._needles if needle not in chosen]
        self._step = min(map(len, self._sieved), default=_LONG) - _GRAM + 1
        self._grams = frozenset(n[at : at + _GRAM] for n in self._sieved for at in range(self._step))
        self._short_heads = frozenset(n[:size] for n in self._needles for size in range(1, min(_HEAD, len(n))))
        self._long = tuple((n[:_HEAD], n, len(n)) for n in self._needles if len(n) > _HEAD)

    def __bool__(self) -> bool:
        return bool(self._needles)

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Where they are, also where they overlap."""
        present = [needle for needle in self._alone if needle in data]
        if self._sieved and not self._grams.isdisjoint(self._samples(data)):
            present += [needle for needle in self._sieved if needle in data]
        return [(at, at + len(needle)) for needle in present for at in _places(data, needle)]

    def _samples(self, data: bytes) -> list[bytes]:
        return [data[at : at + _GRAM] for at in range(0, len(data) - _GRAM + 1, self._step)]

    def begun(self, data: bytes) -> int:
        """The first place from which on all of `data` is the beginning of a needle, but not a whole one."""
        size = len(data)
        first = min((size - n for n in range(1, _HEAD) if n <= size and data[-n:] in self._short_heads), default=size)
        for head, needle, length in self._long:
            at = data.find(head, max(size - length + 1, 0), first + _HEAD)
            while -1 < at < first:
                if needle.startswith(data[at:]):
                    first = at
                at = data.find(head, at + 1, first + _HEAD)
        return first


def _places(data: bytes, needle: bytes) -> Iterator[int]:
    at = data.find(needle)
    while at >= 0:
        yield at
        at = data.find(needle, at + 1)


def _key_ids(data: bytes) -> Iterator[tuple[int, int]]:
    found = _KEY_ID.search(data)
    while found:
        yield found.span()
        found = _KEY_ID.search(data, found.start() + 1)


def _key_id_begun(data: bytes) -> int:
    """Where an access key id begins that is not whole yet; else the end of `data`."""
    found = _KEY_ID_BEGUN.search(data, max(len(data) - _KEY_ID_LENGTH + 1, 0))
    return found.start() if found else len(data)


class _View:
    """Bytes without the line ends that break base64 into lines: those after a line of nothing but 64 or 76 of its
    characters. Elsewhere a line's end stays, or a line that ends in a secret's first letter would be kept back."""

    def __init__(self, before: bytes, data: bytes) -> None:
        self._length = len(data)
        self._gaps = list(_line_ends(before + data, len(before)))
        edges = [0, *(edge for gap in self._gaps for edge in gap), len(data)]
        self._parts = [(a, b) for a, b in pairwise(edges)][::2]
        self._data = b"".join(data[a:b] for a, b in self._parts) if self._gaps else data
        self._starts = [0]
        for a, b in self._parts:
            self._starts.append(self._starts[-1] + b - a)

    def spans(self, needles: _Needles) -> list[tuple[int, int]]:
        return [(self._place(a), self._place(b - 1) + 1) for a, b in needles.spans(self._data)]

    def begun(self, needles: _Needles) -> int:
        return self._place(needles.begun(self._data))

    def _place(self, at: int) -> int:
        """Where a byte of the view is in the data; its end is the data's end."""
        if at == len(self._data):
            return self._length
        part = bisect_right(self._starts, at, hi=len(self._parts)) - 1
        return self._parts[part][0] + at - self._starts[part]


def _line_ends(text: bytes, skip: int) -> Iterator[tuple[int, int]]:
    """The ends of wrapped lines, counted from `skip`."""
    found = _WRAPPED.search(text)
    while found:
        if found.end() > skip:
            yield max(found.start(1) - skip, 0), found.end() - skip
        found = _WRAPPED.search(text, found.end() - 1)


def _with_parts(values: Iterable[str | bytes]) -> Iterator[bytes]:
    """The values, without the white space around them, and the texts in those that are JSON objects."""
    for value in values:
        raw = value if isinstance(value, bytes) else value.encode(errors="surrogateescape")
        for part in (raw, *_leaves(raw)):
            if len(part.strip()) >= SHORTEST_VALUE:
                yield part.strip()


def _leaves(value: bytes) -> Iterator[bytes]:
    """A secret that is a JSON object is mostly taken apart by the build, so its texts are secrets too."""
    if not value.lstrip().startswith(b"{"):
        return
    try:
        rest: list[object] = [json.loads(value, parse_int=str, parse_float=str)]
    except (ValueError, RecursionError):
        return
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            rest += [inner for key, inner in item.items() if key not in _KNOWN_KEYS]
        elif isinstance(item, list):
            rest += item
        elif isinstance(item, str) and len(item) >= SHORTEST_LINE:
            yield item.encode(errors="surrogatepass")


def _spellings(value: bytes) -> Iterator[bytes]:
    """The value, with either line end, and its long lines, each as shells, JSON and URLs write it."""
    whole = value.replace(b"\r\n", b"\n")
    lines = [line.strip() for line in whole.split(b"\n")] if b"\n" in whole else []
    # `-----BEGIN PRIVATE KEY-----` is the same for all keys.
    telling = [line for line in lines if len(line) >= SHORTEST_LINE and not line.startswith(b"-----")]
    for text in dict.fromkeys((value, whole, whole.replace(b"\n", b"\r\n"), *telling)):
        yield text
        yield from _escapes(text)


def _escapes(text: bytes) -> Iterator[bytes]:
    for url in (quote(text, safe=""), quote(text), quote_plus(text), quote(text, safe="!'()*~")):
        yield url.encode()
        yield re.sub("%..", lambda code: code[0].lower(), url).encode()
    try:
        words = text.decode()
    except UnicodeDecodeError:
        return
    for ascii_only in (True, False):
        written = json.dumps(words, ensure_ascii=ascii_only)[1:-1]
        yield written.encode()
        yield re.sub("[<>&]", lambda sign: f"\\u{ord(sign[0]):04x}", written).encode()  # as Go writes it
    yield words.replace("'", "'\\''").encode()
    yield words.replace("'", "'\"'\"'").encode()  # as Python's shlex quotes
    yield re.sub(r'(["$`\\])', r"\\\1", words).encode()  # within double quotes
    yield _SHELL_SAFE.sub(lambda sign: "\\" + sign[0], words).encode()  # as printf %q


def _encodings(value: bytes) -> Iterator[bytes]:
    """What stays of the value in base64 wherever it stands in what was encoded.

    Three bytes are four characters, so there are three cases by what stands before; the characters at either end
    that share bits with a neighbour are left out.
    """
    for text in dict.fromkeys((value, value.replace(b"\r\n", b"\n"))):
        if len(text) < SHORTEST_ENCODED:
            continue
        for offset in range(3):
            written = base64.b64encode(bytes(offset) + text)
            core = written[-(-offset * 8 // 6) : (offset + len(text)) * 8 // 6]
            yield core
            yield core.translate(bytes.maketrans(b"+/", b"-_"))
