"""Reading ahead of the computation, and writing behind it, each in one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


@contextmanager
def ahead(items: Iterable[T], most: int) -> Iterator[Iterator[T]]:
    """Yield an iterator over ``items`` that computes them in a thread before they are asked for.

    Their order stays, and an exception is raised where its item would be. At the end of the block nothing more is
    computed, and the item that is being computed is waited for.

    Args:
        items: The items; a generator runs in the thread.
        most: Items that are computed, or being computed, but not taken; with 0 there is no thread.
    """
    if not most:
        yield iter(items)
        return
    source = iter(items)
    with ThreadPoolExecutor(1, "ahead") as pool:

        def taken() -> Iterator[T]:
            pending = deque(pool.submit(next, source, _END) for _ in range(most))
            while (item := pending.popleft().result()) is not _END:
                pending.append(pool.submit(next, source, _END))
                yield item

        try:
            yield taken()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def behind(*, threaded: bool = True) -> Iterator[Callable[..., None]]:
    """Yield a function that calls another one in a thread, after the call before it has ended.

    An exception is raised by the next call, or at the end of the block, unless the block itself raises.

    Args:
        threaded: False to call at once, without a thread.
    """
    if not threaded:
        yield lambda call, *arguments: call(*arguments)
        return
    with ThreadPoolExecutor(1, "behind") as pool:
        last: Future[Any] | None = None

        def submit(call: Callable[..., Any], *arguments: Any) -> None:
            nonlocal last
            before, last = last, None
            if before is not None:
                before.result()
            last = pool.submit(call, *arguments)

        yield submit
        if last is not None:
            last.result()
