"""The machine a trial runs on: devices, memory, clocks, and the lock that timings share."""
