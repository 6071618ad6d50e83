"""Logs with all that terminals show."""

_AGENT = b"[Container] 2026/11/20 12:00:0%d.%06d "


def _say(second: int, text: bytes) -> bytes:
    return _AGENT % (second, second * 1117) + text + b"\n"


_BEFORE = (
    _say(0, b"Running on CodeBuild On-demand")
    + _say(0, b"Waiting for agent ping")
    + _say(0, b"Waiting for DOWNLOAD_SOURCE")
    + _say(1, b"Phase is DOWNLOAD_SOURCE")
    + _say(1, b"CODEBUILD_SRC_DIR=/codebuild/output/src123/src")
    + _say(1, b"YAML location is /codebuild/output/src123/src/buildspec.yml")
    + _say(1, b"Phase complete: DOWNLOAD_SOURCE State: SUCCEEDED")
    + _say(1, b"Phase context status code:  Message: ")
    + _say(2, b"Entering phase INSTALL")
    + _say(2, b"Running command pip install -r requirements.txt")
    + b"Collecting flask\r\nDownloading  10%\rDownloading  55%\rDownloading 100% done\n"
    + b"\x1b[1m[\x1b[0m\x1b[34;49mnotice\x1b[0m\x1b[1;39;49m]\x1b[0m"
    + b" A new release of pip: \x1b[31;49m24.0\x1b[0m -> \x1b[32;49m25.3\x1b[0m\n"
    + b"\n"
    + _say(3, b"Phase complete: INSTALL State: SUCCEEDED")
    + _say(3, b"Phase context status code:  Message: ")
    + _say(3, b"Entering phase BUILD")
    + _say(3, b"Running command make test")
)
_TESTS = b"".join(
    b"\x1b[32mPASSED\x1b[0m tests/test_%02d.py::test_the_%02dth_thing \x1b[2m(%d ms)\x1b[0m\n" % (n, n, n * 7)
    for n in range(24)
)
_SHADES = (
    b" ".join(b"\x1b[%dm%d\x1b[0m" % (n, n) for n in (*range(30, 38), *range(90, 98)))
    + b"\n"
    + b" ".join(b"\x1b[%dm %d \x1b[0m" % (n, n) for n in (*range(40, 48), *range(100, 108)))
    + b"\n"
    + b"".join(b"\x1b[48;5;%dm  \x1b[0m" % n for n in range(16, 52))
    + b"\n"
    + b"".join(b"\x1b[48;2;%d;%d;200m  \x1b[0m" % (n * 7, 255 - n * 7) for n in range(36))
    + b"\n\x1b[1mbold\x1b[0m \x1b[2mdim\x1b[0m \x1b[3mitalic\x1b[0m \x1b[4munderline\x1b[0m \x1b[7minverse\x1b[0m"
    + b" \x1b[9mstruck\x1b[0m \x1b[1;4;38;2;255;150;60mall of it\x1b[0m\n"
)
LOG = (
    _BEFORE
    + _TESTS
    + b"\x1b[31m\x1b[1mFAILED\x1b[0m tests/test_cart.py::test_totals - \x1b[31mAssertionError: 41 != 42\x1b[0m\n"
    + b"\x1b[41;37;1m FAIL \x1b[0m 1 failed, 24 passed in 3.20s\n"
    + b"make: *** [Makefile:12: test] Error 1\n\n"
    + _say(7, b"Command did not exit successfully make test exit status 2")
    + _say(7, b"Phase complete: BUILD State: FAILED")
    + _say(
        7,
        b"Phase context status code: COMMAND_EXECUTION_ERROR Message: Error while executing command: make test."
        b" Reason: exit status 2",
    )
    + _say(7, b"Entering phase POST_BUILD")
    + _say(7, b"Phase complete: POST_BUILD State: SUCCEEDED")
    + _say(7, b"Phase context status code:  Message: ")
)
RUNNING = (
    _BEFORE + _TESTS + _SHADES + b"\xe2\x9c\x93 \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e \xf0\x9f\x9a\x80 caf\xc3\xa9\n"
)
