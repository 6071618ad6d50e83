import unittest

from greeter import greeting
from greeter.settings import Settings


class Greeting(unittest.TestCase):
    def test_names_whom_it_greets(self):
        self.assertEqual(greeting(Settings("Good morning"), "Ada"), "Good morning, Ada!")

    def test_greets_nobody_in_particular(self):
        self.assertEqual(greeting(Settings(nobody="world"), "  "), "Hello, world!")


if __name__ == "__main__":
    unittest.main()
