"""Makes the process that imports it the parent of orphans; the fork server alone imports it, before the first trial."""

from __future__ import annotations

import warnings

from unetzoo.machine.processes import adopt_orphans

adopt_orphans()
# The server reaps the adopted as it reaps trials, but wonders who they are.
warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")
