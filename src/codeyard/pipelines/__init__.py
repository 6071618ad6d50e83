"""Pipelines: their declarations, their executions, and the actions that act."""
