"""The benchmark harness: suites, trials, isolated runs and their records."""
