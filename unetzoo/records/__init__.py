"""Records: what `unetzoo.bench` writes and `unetzoo.report` reads, one JSON file for each trial."""
