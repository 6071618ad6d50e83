"""A command's text cut into the simple commands a shell would see, well enough to warn about them. Pure.

It is no shell: expansions stay as they are, and where the text is odd the cut may be coarse. It never fails, and takes
time linear in the text.
"""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?xs)
      (?P<skip>\\\n|[ \t\r\f\v]+)
    | (?P<heredoc><<-?[ \t]*(?P<quote>['"]?)\\?(?P<end>\w+)(?P=quote))
    | (?P<quoted>\\.|'[^']*'|"(?:[^"\\]|\\.)*"|`[^`]*`)
    | (?P<text>[0-9]*[<>]+&?[-0-9]?|&>>?|\$\{[^}\n]{0,99}\}|<<<|[^\s\\'"`<>&|;()\#$]+|\$(?!\())
    | (?P<open>\$\(|\()
    | (?P<close>\))
    | (?P<operator>&&|\|\||\|&|;;&?|;&|[;&|\n])
    | (?P<comment>(?<![^\s;&|()])\#[^\n]*)
    | (?P<odd>.)
    """
)
_OPENING = frozenset({"if", "for", "while", "until", "case", "select", "{"})
_CLOSING = frozenset({"fi", "done", "esac", "}"})
_BETWEEN = frozenset({"then", "do", "else", "elif", "!", "time"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One simple command. `before` and `after` are the operators around it; a line's end counts as `;`."""

    text: str
    line: int  # of the command's text, from 0
    before: str
    after: str
    nested: bool  # inside if, a loop, braces, a function or a subshell


def split(command: str) -> tuple[Statement, ...]:
    """The simple commands of a command, in order; comments, here-documents and reserved words are left out."""
    return _Splitter(command).run()


class _Splitter:
    def __init__(self, command: str) -> None:
        self._text = command
        self._line = 0
        self._words: list[str] = []
        self._gap = False  # a blank stands before the next token
        self._start = 0
        self._before = ""
        self._open_words: list[str] = []  # reserved words and subshells that have begun
        self._substitutions = 0  # of parentheses that belong to a word
        self._heredocs: list[str] = []
        self._found: list[Statement] = []

    def run(self) -> tuple[Statement, ...]:
        position = 0
        while position < len(self._text):
            token = _TOKEN.match(self._text, position)
            assert token is not None  # `odd` takes any character
            position = token.end()
            self._take(token)
            if token["operator"] == "\n" and self._heredocs:
                position = self._pass_heredocs(position)
            self._line += self._text.count("\n", token.start(), token.end())
        self._end("")
        return tuple(self._found)

    def _take(self, token: re.Match[str]) -> None:
        text = token[0]
        if token["comment"] is not None:
            return
        if token["skip"] is not None:
            self._gap = True
        elif token["operator"] is not None and not self._substitutions:
            self._end(";" if text == "\n" else text)
        elif token["open"] is not None:
            self._open(text)
        elif token["close"] is not None:
            self._close()
        else:
            if token["heredoc"] is not None:
                self._heredocs.append(token["end"])
            self._word(text)

    def _open(self, text: str) -> None:
        if text == "$(" or self._substitutions or (self._words and not self._gap):
            self._substitutions += 1
            self._word(text)
        else:
            self._end(";")
            self._open_words.append("(")

    def _close(self) -> None:
        if self._substitutions:
            self._substitutions -= 1
            self._word(")")
        else:
            self._end(";")
            if self._open_words[-1:] == ["("]:  # else it ends a pattern of `case`
                self._open_words.pop()

    def _word(self, text: str) -> None:
        if not self._words:
            self._start = self._line
        if self._gap and self._words:
            self._words.append(" ")
        self._gap = False
        self._words.append(text)
        begins_function = text == "{" and "".join(self._words[-4:]).endswith(("() {", "(){"))
        if (len(self._words) == 1 or begins_function) and not self._substitutions and self._reserved(text):
            self._words.clear()

    def _reserved(self, word: str) -> bool:
        if word in _OPENING:
            self._open_words.append(word)
        elif word in _CLOSING and self._open_words:
            self._open_words.pop()
        return word in _BETWEEN or word in _OPENING or word in _CLOSING

    def _end(self, operator: str) -> None:
        if self._words:
            nested = bool(self._open_words)
            self._found.append(Statement("".join(self._words), self._start, self._before, operator, nested))
            self._before = operator
        self._words.clear()
        self._gap = False

    def _pass_heredocs(self, position: int) -> int:
        """The position behind the here-documents that start at `position`, which is the start of a line."""
        while self._heredocs and position < len(self._text):
            end = self._text.find("\n", position)
            end = len(self._text) if end < 0 else end + 1
            if self._text[position:end].strip() == self._heredocs[0]:
                self._heredocs.pop(0)
            self._line += self._text.count("\n", position, end)
            position = end
        self._heredocs.clear()
        return position
