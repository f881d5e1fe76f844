"""The batch engine and the jobs that run on it."""
