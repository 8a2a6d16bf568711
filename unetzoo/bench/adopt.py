"""Makes the process that imports it the parent of orphans; the fork server alone imports it, before the first trial.

The server ends once the harness and all trials have ended, however they did; it then kills what they left behind. A
process whose parents, the server included, are all killed at once escapes, as does one that holds the server's pipe.
"""

from __future__ import annotations

import atexit
import os
import warnings

from unetzoo.machine.processes import adopt_orphans, kill_descendants

if adopt_orphans():
    atexit.register(kill_descendants, os.getpid())  # trials are forked, and do not run this
# The server reaps the adopted as it reaps trials, but wonders who they are.
warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")
