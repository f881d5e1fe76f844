"""Checks on pictures: degenerate ones, near-duplicates, doubtful ones."""
