"""Experiment trackers that a run is shown in: one adapter for each, over the tracker's own client.

Records stay the truth: nothing reads what a tracker has stored, and a tracker that fails stops no trial.
"""
