"""YAML that remembers where each value stands, and is safe to read from anybody.

`read` makes a tree of nodes with lines and columns (from 1); a `Cursor` walks it, and gathers mistakes instead of
stopping at the first. One document, YAML 1.1. Sizes, depth and what aliases expand to are bounded; tags are refused.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from codeyard.errors import Mistake

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 50_000  # aliases count as all that they stand for, so that a "billion laughs" ends here

TRUE = frozenset({"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
FALSE = frozenset({"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # what YAML 1.1 calls the end of a line
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LOADER: type[yaml.CSafeLoader] | type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, as the text that stood there."""

    text: str
    line: int
    column: int
    style: str = ""  # "" plain, or one of ' " | >
    end_line: int = 0

    @property
    def is_null(self) -> bool:
        return self.style == "" and self.text in _NULL


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple["Node", ...]
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Mapping:
    entries: tuple[tuple[Scalar, "Node"], ...]
    line: int
    column: int


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Document:
    """What `read` found. With no `root`, the text is empty or the mistakes say why it is no YAML."""

    root: Node | None
    lines: tuple[str, ...]
    mistakes: tuple[Mistake, ...]

    def line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


def read(text: str) -> Document:
    """The one document in `text`. Never raises: what is wrong is in `mistakes`, at its place."""
    if len(text) > MAX_CHARACTERS:
        big = Mistake(0, 0, f"the text has {len(text)} characters", f"Keep it under {MAX_CHARACTERS}.")
        return Document(None, (), (big,))
    text = text.removeprefix("\ufeff")
    lines = tuple(_BREAK.split(text))
    if bad := _FORBIDDEN.search(text):
        return Document(None, lines, (_forbidden(text, bad.start(), lines),))
    composer = _Composer(lines)
    try:
        root = composer.document(yaml.parse(text, Loader=_LOADER))
    except _Stop as stop:
        return Document(None, lines, (*composer.mistakes, stop.mistake))
    except yaml.MarkedYAMLError as error:
        return Document(None, lines, (*composer.mistakes, _syntax(error, lines)))
    except (yaml.YAMLError, UnicodeError) as error:
        return Document(None, lines, (*composer.mistakes, Mistake(0, 0, f"not YAML: {error}", "Correct the text.")))
    return Document(root, lines, tuple(composer.mistakes))


class _Stop(Exception):
    """Reading on makes no sense."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake)
        self.mistake = mistake


@dataclass(frozen=True, slots=True)
class _Built:
    node: Node
    size: int = 1  # nodes in it, aliases expanded
    height: int = 0  # levels beneath it


class _Composer:
    """Events to nodes. Recursion is as deep as the text is nested, so at most MAX_DEPTH."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        self._lines = lines
        self._anchors: dict[str, _Built] = {}
        self._count = 0
        self.mistakes: list[Mistake] = []

    def document(self, events: Iterator[yaml.Event]) -> Node | None:
        root: _Built | None = None
        for event in events:
            if isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent | yaml.DocumentEndEvent):
                continue
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _Stop(self._at(event, "a second document starts", "Keep one document to a file."))
                continue
            root = self._node(event, events, 0)
        return root.node if root else None

    def _at(self, event: yaml.Event, what: str, fix: str) -> Mistake:
        line, column = _place(event.start_mark)
        return Mistake(line, column, f"{what} at line {line}", fix, _line(self._lines, line))

    def _note(self, event: yaml.Event, what: str, fix: str) -> None:
        self.mistakes.append(self._at(event, what, fix))

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> _Built:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        self._grow(event, 1, depth)
        tag = getattr(event, "tag", None)
        if tag not in (None, "!", "tag:yaml.org,2002:str"):
            self._note(event, f"tag {excerpt(_short_tag(tag))}", "Leave the tag out: only plain YAML is read.")
        if isinstance(event, yaml.SequenceStartEvent):
            built = self._sequence(event, events, depth)
        elif isinstance(event, yaml.MappingStartEvent):
            built = self._mapping(event, events, depth)
        else:
            assert isinstance(event, yaml.ScalarEvent)
            built = _Built(self._scalar(event))
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = built
        return built

    def _grow(self, event: yaml.Event, nodes: int, depth: int) -> None:
        self._count += nodes
        if self._count > MAX_NODES:
            raise _Stop(self._at(event, f"more than {MAX_NODES} values", "Use fewer values, and fewer aliases."))
        if depth > MAX_DEPTH:
            raise _Stop(self._at(event, f"nested more than {MAX_DEPTH} deep", "Nest less."))

    def _alias(self, event: yaml.AliasEvent, depth: int) -> _Built:
        anchor = event.anchor or ""
        built = self._anchors.get(anchor)
        if built is None:  # unknown, or still open: a value cannot contain itself
            raise _Stop(self._at(event, f"found undefined alias {excerpt(anchor)}", "Define the anchor before it."))
        self._grow(event, built.size, depth + built.height)
        return built

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        if bad := re.search("[\0\ud800-\udfff]", event.value):
            what = f"character U+{ord(bad[0]):04X} in a value"
            self._note(event, what, "Remove it: no command or variable can hold it.")
        style = event.style or ""
        if event.tag is not None and not style:
            style = "'"  # a tag makes a plain scalar a string, as quotes do
        line, column = _place(event.start_mark)
        return Scalar(event.value, line, column, style, _place(event.end_mark)[0])

    def _sequence(self, start: yaml.Event, events: Iterator[yaml.Event], depth: int) -> _Built:
        items: list[_Built] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._node(event, events, depth + 1))
        node = Sequence(tuple(item.node for item in items), *_place(start.start_mark))
        return _Built(node, 1 + sum(item.size for item in items), 1 + max((item.height for item in items), default=0))

    def _mapping(self, start: yaml.Event, events: Iterator[yaml.Event], depth: int) -> _Built:
        own: dict[str, tuple[Scalar, Node]] = {}
        merged: dict[str, tuple[Scalar, Node]] = {}
        size, height = 1, 0
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key, value = self._node(event, events, depth + 1), self._node(next(events), events, depth + 1)
            size, height = size + key.size + value.size, max(height, key.height, value.height)
            name = key.node
            if not isinstance(name, Scalar):
                self._note(event, "a key that is not a plain value", "Quote it if it is meant as text.")
            elif name.text == "<<" and not name.style:
                self._merge(value.node, merged, event)
            elif name.text in own:
                what = f"mapping key {excerpt(name.text)} already defined at line {own[name.text][0].line}: again"
                self._note(event, what, "Keep one of the two.")
            else:
                own[name.text] = (name, value.node)
        entries = tuple((merged | own).values())
        return _Built(Mapping(entries, *_place(start.start_mark)), size, height + 1)

    def _merge(self, value: Node, into: dict[str, tuple[Scalar, Node]], event: yaml.Event) -> None:
        """YAML's merge key: the first mapping that has a key gives its value; keys of one's own win over all."""
        for source in value.items if isinstance(value, Sequence) else (value,):
            if not isinstance(source, Mapping):
                self._note(event, "<< needs a mapping", "Give it an alias of a mapping.")
                return
            for key, node in source.entries:
                into.setdefault(key.text, (key, node))


def _place(mark: object) -> tuple[int, int]:
    """A mark's line and column from 1. (Marks of the C loader and of the other are different classes.)"""
    return getattr(mark, "line", -1) + 1, getattr(mark, "column", -1) + 1


def _line(lines: tuple[str, ...], number: int) -> str:
    return lines[number - 1] if 0 < number <= len(lines) else ""


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def _forbidden(text: str, index: int, lines: tuple[str, ...]) -> Mistake:
    before = _BREAK.split(text[:index])
    what = f"control characters are not allowed at line {len(before)}"
    fix = f"Remove U+{ord(text[index]):04X}; in double quotes an escape such as \\e can stand for it."
    return Mistake(len(before), len(before[-1]) + 1, what, fix, _line(lines, len(before)))


def _syntax(error: yaml.MarkedYAMLError, lines: tuple[str, ...]) -> Mistake:
    """In the words of libyaml, which are the words of the service's log too."""
    line, column = _place(error.problem_mark or error.context_mark)
    if line > len(lines):  # the end of the text counts as one more line there
        line, column = len(lines), len(lines[-1]) + 1
    problem = (error.problem or error.context or "not YAML").replace("not allowed here", "not allowed in this context")
    fix = "Correct the YAML here or just above it."
    if "mapping values" in problem:
        fix = 'Quote the whole value: a colon followed by a space begins a mapping, as in `- "echo a: b"`.'
    elif "cannot start any token" in problem:
        fix = "Indent with spaces, not tabs, and quote values that start with @, ` or %."
    elif "expected key" in problem or "block mapping" in str(error.context):
        fix = "Line it up with its neighbours, and give each key a colon and a space."
    return Mistake(line, column, f"{problem} at line {line}", fix, _line(lines, line))


@dataclass(slots=True)
class Findings:
    """What a walk gathers: mistakes, and where each scalar that was read stands."""

    document: Document
    mistakes: list[Mistake] = field(default_factory=list)
    places: dict[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a document: a node (None: absent), its path, and its key. Its methods read, and note what is wrong."""

    node: Node | None
    path: str
    key: Scalar | None
    findings: Findings

    @classmethod
    def root(cls, document: Document) -> "Cursor":
        return cls(document.root, "", None, Findings(document, list(document.mistakes)))

    @property
    def present(self) -> bool:
        """There, if only with a null."""
        return self.node is not None

    @property
    def given(self) -> bool:
        """There, with a value other than null."""
        return self.node is not None and not (isinstance(self.node, Scalar) and self.node.is_null)

    @property
    def line(self) -> int:
        return self._position(self.node)[0]

    def mistake(self, what: str, fix: str, *, warning: bool = False) -> None:
        """Note a mistake at the value."""
        at_node = self.given or self.path.endswith("]")
        self._note(self.node if at_node else self.key, what, fix, warning)

    def mistake_at_key(self, what: str, fix: str, *, warning: bool = False) -> None:
        """Note a mistake at the key that the value belongs to."""
        self._note(self.key or self.node, what, fix, warning)

    def _note(self, where: Node | None, what: str, fix: str, warning: bool) -> None:
        line, column = self._position(where)
        text = self.findings.document.line(line)
        self.findings.mistakes.append(Mistake(line, column, what, fix, text, warning, self.path))

    def _position(self, where: Node | None) -> tuple[int, int]:
        at = where or self.key
        return (at.line, at.column) if at else (1, 1)

    def pairs(self) -> Iterator[tuple[str, "Cursor"]]:
        """The entries of a mapping whose keys are names of the author's; none if it is null."""
        if not self.given:
            return
        if not isinstance(self.node, Mapping):
            self.mistake(f"Cannot unmarshal {_kind(self.node)} to map", "Write `key: value` lines beneath the key.")
            return
        for key, node in self.node.entries:
            yield key.text, Cursor(node, _join(self.path, key.text), key, self.findings)

    def block(self, *known: str, ignore: str = r"(?!)") -> dict[str, "Cursor"]:
        """The entries of a mapping by known keys, absent ones too; other keys get a warning, unless `ignore` fits."""
        here = {name: Cursor(None, _join(self.path, name), self.key, self.findings) for name in known}
        for name, cursor in self.pairs():
            if name in here:
                here[name] = cursor
            elif not re.fullmatch(ignore, name):
                what = f"Unknown key: {excerpt(name)}. Expecting: {','.join(known)}"
                cursor.mistake_at_key(what, _nearest(name, known), warning=True)
        return here

    def items(self) -> tuple["Cursor", ...]:
        """The items of a list; a value that is no list counts as a list of one, null as none."""
        if isinstance(self.node, Sequence):
            items = enumerate(self.node.items)
            return tuple(Cursor(node, f"{self.path}[{n}]", self.key, self.findings) for n, node in items)
        return (self,) if self.given else ()

    def list(self, of: str) -> "tuple[Cursor, ...]":
        """The items of a list that holds more than texts; anything but a list and null is a mistake."""
        if self.given and not isinstance(self.node, Sequence):
            self.mistake(f"Cannot unmarshal {_kind(self.node)} to list", f"Start each {of} with a dash.")
            return ()
        return self.items()

    def text(self) -> str | None:
        """A scalar's own text, whatever its type; None for null."""
        if not self.given:
            return None
        if not isinstance(self.node, Scalar):
            self.mistake(f"Cannot unmarshal {_kind(self.node)} to string", _QUOTE)
            return None
        self.findings.places[self.path] = self.node
        return self.node.text

    def word(self) -> str | None:
        """As `text`, but an empty one is a mistake."""
        text = self.text()
        if text is not None and not text.strip():
            self.mistake(f"{self.name} is empty", "Give it a value, or remove the key.")
            return None
        return text

    def texts(self) -> tuple[str, ...]:
        """The texts of a list, or the one text that stands in its place."""
        return tuple(text for item in self.items() if (text := item.list_text(self.name)) is not None)

    def list_text(self, of: str) -> str | None:
        """The text of this item of the list `of`. The message is the one that the service prints for such a mistake."""
        if isinstance(self.node, Scalar):
            self.findings.places[self.path] = self.node
            return None if self.node.is_null else self.node.text
        index = re.search(r"(\[\d+\])?$", self.path)
        label = "".join(part.capitalize() for part in of.split("-")) + (index[0] if index else "")
        found = "subkeys" if isinstance(self.node, Mapping) else "a list"
        what = f"Expected {label} to be of string type: found {found} instead at line {self.line}"
        self.mistake(f"{what}, value of the key tag on line {self.line - 1} might be empty", _QUOTE)
        return None

    def flag(self, default: bool) -> bool:
        text = self.text()
        if text is None:
            return default
        if text not in TRUE and text not in FALSE:
            self.mistake(
                f"Expected {self.name} to be yes or no: found {excerpt(text)}", "Write yes, no, true or false."
            )
        return text in TRUE

    @property
    def name(self) -> str:
        """The key as it was written; of a list's item, the list's."""
        return excerpt(self.key.text) if self.key else "the document"


def excerpt(text: str, limit: int = 60) -> str:
    """As much of somebody's text as fits into a message, on one line."""
    shown = repr(text)[1:-1].replace("\\\\", "\\").replace("\\'", "'")
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


_QUOTE = "Quote it if it is one text: a colon and a space, `{`, `[` or `- ` begin something else in YAML."


def _kind(node: Node | None) -> str:
    return "map" if isinstance(node, Mapping) else "list" if isinstance(node, Sequence) else "string"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _nearest(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]}?" if close else "Remove it, or move it to where it belongs: it is ignored."
