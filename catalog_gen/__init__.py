"""Pictures for catalogue rows that have words and no picture."""

__version__ = "0.1.0"
