"""Run the tests, and write what came of them as JUnit has it: usage: python3 -m tests.junit FILE"""

import sys
import time
import unittest
from pathlib import Path
from xml.etree import ElementTree


class Report(unittest.TextTestResult):
    """A result that becomes XML."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.suite = ElementTree.Element("testsuite", name="greeter")

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        names = {"classname": type(test).__qualname__, "name": test.id().rpartition(".")[2]}
        self.case = ElementTree.SubElement(self.suite, "testcase", names)

    def stopTest(self, test):
        self.case.set("time", f"{time.monotonic() - self.began:.3f}")
        super().stopTest(test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        ElementTree.SubElement(self.case, "failure", message=str(error[1])[:200])

    def addError(self, test, error):
        super().addError(test, error)
        if test is not None and hasattr(self, "case"):
            ElementTree.SubElement(self.case, "error", message=str(error[1])[:200])


def main(path):
    tests = unittest.defaultTestLoader.discover("tests", top_level_dir=".")
    result = unittest.TextTestRunner(resultclass=Report).run(tests)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(result.suite).write(path, encoding="utf-8", xml_declaration=True)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
