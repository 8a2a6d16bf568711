"""Named data sets: what is known of each, getting them, and reading them where they lie."""
