"""Hostile bytes to an XML tree or a JSON value: bounded, with no entity, nothing fetched, whatever the encoding."""

import codecs
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from codeyard.errors import Invalid
from codeyard.reports.model import MAX_FILE_BYTES

MAX_ELEMENTS = 2_000_000  # a JaCoCo file of MAX_FILE_BYTES has 1.4 million
MAX_DEPTH = 200
MAX_ATTRIBUTES = 500_000  # of one element
MAX_TEXT = 65_536  # characters kept of one element's; the longest message is much shorter
MAX_VALUES = 8_000_000  # of a JSON file

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
# Those that Python decodes in linear time. UTF-16 is not among them: whoever could read the declaration as ASCII knows
# that it is wrong, and .NET writes it wrongly.
_DECLARABLE = re.compile(
    r"ascii|us-ascii|latin-?1|iso[-_]?8859[-_]\d+|windows[-_]?\d+|cp-?\d+|koi8[-_][rut]|mac[-_]?roman"
    r"|shift[-_]jis|sjis|euc[-_](jp|kr|cn)|gb2312|gbk|gb18030|big5|iso[-_]2022[-_](jp|kr)",
    re.IGNORECASE,
)
# XML 1.0 forbids them, but test output has them.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
# References to such, and some that have to be looked at: surrogates and large numbers.
_REFERENCE = re.compile(
    r"&#(?:0*([0-8]|1[124-9]|2\d|3[01]|5[567]\d{3}|6553[45]|\d{7,10})"
    r"|x0*([0-8bcefBCEF]|1[\da-fA-F]|[dD][89a-fA-F][\da-fA-F]{2}|[fF]{3}[efEF]|[\da-fA-F]{6,8}));"
)
_LONG_TAG = re.compile(f"<[^<]{{{5 * MAX_ATTRIBUTES},}}")  # with the text after it: ">" may stand in a value
_VALUE = re.compile(r"=\s*[\"']")
_CUT_SHORT = frozenset({3, 5, 20})  # expat: no element found, unclosed token, unclosed CDATA section


@dataclass(slots=True)
class Node:
    """An XML element: its name without namespace, its own text, its child elements."""

    tag: str
    attributes: dict[str, str]
    children: list["Node"] = field(default_factory=list)
    text: str = ""

    def get(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)

    def each(self, *tags: str) -> list["Node"]:
        """The child elements of these names."""
        return [child for child in self.children if child.tag in tags]

    def first(self, *tags: str) -> "Node | None":
        return next(iter(self.each(*tags)), None)

    def text_of(self, *tags: str) -> str:
        """The text at the end of this path of names, stripped; empty if there is none."""
        node: Node | None = self
        for tag in tags:
            node = node.first(tag) if node else None
        return node.text.strip() if node else ""


def decode(data: bytes) -> str:
    """The text of a file: as its mark or its XML declaration says, else UTF-8. What is no text becomes U+FFFD."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace").removeprefix("\ufeff")
    declared = _DECLARED.match(data)
    name = declared[1].decode() if declared else "utf-8"
    if _DECLARABLE.fullmatch(name):
        try:
            return data.decode(name, errors="replace")
        except LookupError:
            pass  # such as windows-1: no such code page
    return data.decode(errors="replace")


def read_xml(data: bytes, path: str, leave_out: Collection[str] = ()) -> Node:
    """The root of an XML file, without the elements named in `leave_out`. Invalid if it cannot be trusted or read."""
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    class Parser(DefusedXMLParser):
        def defused_start_doctype_decl(self, name: str, sysid: str | None, pubid: str | None, subset: bool) -> None:
            # JaCoCo, Cobertura and others name their DTD, which is never fetched. One within the file could make a
            # small file large: by entities, or by the defaults of attributes.
            if subset:
                raise refused(path, "it brings its own DTD, which a report has no use for.")

    text = _readable(_bounded(data, path), path)
    builder = _Builder(path, frozenset(leave_out))
    parser = Parser(target=builder, forbid_dtd=True)
    try:
        parser.feed(text)
        parser.close()
    except ParseError as error:
        fix = "Look at the file at that place."
        if error.code in _CUT_SHORT:
            fix = "The file ends too early: see whether the tool was killed while it wrote, or the disk was full."
        raise Invalid(f"report file {path!r}", f"it is not well-formed XML: {error}.", fix) from error
    except DefusedXmlException as error:
        raise refused(path, "it declares or refers to XML entities, which a report has no use for.") from error
    assert builder.root  # else the parser would have missed it
    return builder.root


def read_json(data: bytes, path: str) -> object:
    """The value of a JSON file. Invalid if it cannot be trusted or read."""
    text = _bounded(data, path)
    if sum(text.count(mark) for mark in "{[,") > MAX_VALUES:
        raise refused(path, f"it has more than {MAX_VALUES:,} values.")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise refused(path, "its values are nested too deeply.") from error
    except ValueError as error:
        fix = "Look at the file at that place; if it ends there, the tool was killed while it wrote."
        raise Invalid(f"report file {path!r}", f"it is not JSON: {error}.", fix) from error


def refused(path: str, why: str) -> Invalid:
    return Invalid(f"report file {path!r}", why, "Have the test tool write an ordinary report, or leave the file out.")


def _bounded(data: bytes, path: str) -> str:
    """The file's text, ready to parse."""
    if len(data) > MAX_FILE_BYTES:
        raise refused(path, f"it is larger than {MAX_FILE_BYTES >> 20} MiB.")
    text = decode(data).strip("\0 \t\r\n")
    if not text:
        raise Invalid(f"report file {path!r}", "it is empty.", "See whether the test tool ran to its end.")
    return text


def _readable(text: str, path: str) -> str:
    """The same with U+FFFD for every character that XML forbids, written out or as a reference."""
    if any(len(_VALUE.findall(tag[0])) > MAX_ATTRIBUTES for tag in _LONG_TAG.finditer(text)):
        raise refused(path, f"one of its elements has more than {MAX_ATTRIBUTES:,} attributes.")
    return _REFERENCE.sub(_allowed, _FORBIDDEN.sub("\ufffd", text))


def _allowed(reference: re.Match[str]) -> str:
    code = int(reference[1]) if reference[1] else int(reference[2], 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000 or _FORBIDDEN.match(chr(code)):
        return "\ufffd"
    return reference[0]


class _Builder:
    """The parser's target: makes Nodes, within bounds."""

    def __init__(self, path: str, leave_out: frozenset[str]) -> None:
        self.root: Node | None = None
        self._path, self._leave_out = path, leave_out
        self._open: list[Node] = []
        self._texts: list[list[str]] = []
        self._room: list[int] = []  # how much more text each open element may keep
        self._left_out = 0  # how deep within an element that is left out
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise refused(self._path, f"it has more than {MAX_ELEMENTS:,} elements.")
        if len(self._open) + self._left_out >= MAX_DEPTH:
            raise refused(self._path, f"its elements are nested more than {MAX_DEPTH} deep.")
        name = tag.rpartition("}")[2]
        if self._left_out or (self._open and name in self._leave_out):
            self._left_out += 1
            return
        node = Node(name, attributes)
        if self._open:
            self._open[-1].children.append(node)
        self._open.append(node)
        self._texts.append([])
        self._room.append(MAX_TEXT)

    def end(self, _tag: str) -> None:
        if self._left_out:
            self._left_out -= 1
            return
        self.root = self._open.pop()
        self.root.text = "".join(self._texts.pop())
        self._room.pop()

    def data(self, text: str) -> None:
        if not self._left_out and self._open and self._room[-1] > 0:
            self._texts[-1].append(text)
            self._room[-1] -= len(text)

    def close(self) -> None:
        """Nothing is left to do: the last element that ended is the root."""
