"""Exports: a channel's rules, what they hold back, and the channel's own file."""
