"""Telling how a run ended: webhook, e-mail, Prometheus. Knows what a run's news is, and nothing of how runs work."""
