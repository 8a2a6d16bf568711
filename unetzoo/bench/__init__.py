"""Suites, trials, isolated runs and their records."""
