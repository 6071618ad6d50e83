"""usage: python3 -m greeter [NAME]"""

import sys
from pathlib import Path

from greeter import greeting
from greeter.settings import Settings

settings = Settings.load(Path(__file__).parents[1] / "settings.json")
print(greeting(settings, " ".join(sys.argv[1:])))
