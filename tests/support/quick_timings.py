"""Imported by suites none of whose tests depends on a timing: the calibration's matrix product is a small one."""

from unetzoo.measure import latency

latency.PRODUCT_SIDE["cpu"] = 256
