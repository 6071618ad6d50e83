"""Builds: what one is, what may happen to it, and what does."""
