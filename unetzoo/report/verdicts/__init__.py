"""Statistics behind the verdicts, as pure functions; numpy and scipy alone.

- `pair`: one difference, its variances, p and interval.
- `family`: several differences at once, Holm's correction, simultaneous intervals and the four words.
- `comparison`: from the scores of several pairs to their verdicts.
- `planning`: the seeds or groups that would settle an open comparison.
- `best`: several variants on several data sets: the best of each, ranks, folds, one choice for all.
- `costs`: measured costs, seed by seed.

Their error rates are measured by ``benchmarks/verdict_error_rates.py``, see reports/verdict-error-rates.
"""
