"""The tables' history, for Alembic: a file for each step in `versions`, `env.py` to run them."""
