"""The root: every object of a server is made here, once, from its Config."""
