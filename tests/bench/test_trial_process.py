"""The ends of a trial's process, told apart."""

from __future__ import annotations

from unetzoo.bench.trial_process import classify
from unetzoo.train.loop import NonFiniteLossError


def test_what_one_process_of_several_raises_is_told_apart() -> None:
    from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

    head = "\n\n-- Process 1 terminated with the following error:\nTraceback (most recent call last):\n  ...\n"

    def raised(error: Exception) -> ProcessRaisedException:
        name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
        return ProcessRaisedException(f"{head}{name}: {error}\n", 1, 0)

    assert classify(raised(NonFiniteLossError("training loss is nan at step 1"))) == (
        "nan",
        "training loss is nan at step 1",
    )
    assert classify(raised(RuntimeError("can't allocate memory")))[0] == "oom"
    assert classify(raised(ValueError("it broke"))) == ("crashed", "ValueError: it broke")
    killed = ProcessExitedException("process 1 terminated with signal SIGKILL", 1, 0, -9, "SIGKILL")
    assert classify(killed)[0] == "killed"
