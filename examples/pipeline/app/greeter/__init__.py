"""A program that greets: `python3 -m greeter NAME`."""

from greeter.settings import Settings


def greeting(settings: Settings, name: str) -> str:
    """What it says to NAME."""
    return f"{settings.word}, {name.strip() or settings.nobody}!"
