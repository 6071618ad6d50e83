"""Short links for a team: an HTTP API, a page to use it from, and one SQLite file. Standard library only."""

__version__ = "1.2.0"
