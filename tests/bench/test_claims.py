"""Claims on trials: one holder at a time, takeovers by the onlooker's own clock, and no record by who lost a claim."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from unetzoo.bench import claims
from unetzoo.bench.claims import ClaimLostError, Onlooker, forget, heartbeat, newest_claim, take
from unetzoo.bench.heart import Heart

STALE = 1.0


def elsewhere(monkeypatch: pytest.MonkeyPatch, name: str = "another start of another machine") -> None:
    """Let the claims that are made from now on be of another machine."""
    monkeypatch.setattr(claims, "_machine", lambda: name)


def watch(onlooker: Onlooker, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if onlooker.free():
            return True
        time.sleep(0.05)
    return False


def test_one_of_many_gets_the_claim(tmp_path: Path) -> None:
    got: list[object] = []
    start = threading.Barrier(16)

    def try_it() -> None:
        start.wait()
        got.append(take(tmp_path / "claims", "t", 0, STALE))

    threads = [threading.Thread(target=try_it) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in got) == 1
    assert sorted(path.suffix for path in (tmp_path / "claims").iterdir()) == [".beat", ".json"]  # nothing else is left


def test_a_claim_that_is_let_go_is_free_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(monkeypatch)
    first = take(tmp_path, "t", 0, 1000)
    assert first is not None
    monkeypatch.undo()
    onlooker = Onlooker(tmp_path, "t")
    assert not onlooker.free()
    first.release()
    assert onlooker.free()
    assert onlooker.number == 1
    second = take(tmp_path, "t", onlooker.number, STALE)
    assert second is not None
    assert second.held()
    assert not first.held()
    forget(tmp_path, "t")
    second.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("skew", [-1e9, 0.0, 1e9], ids=["in the past", "right", "in the future"])
def test_a_silent_holder_is_found_whatever_its_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skew: float
) -> None:
    elsewhere(monkeypatch)
    claim = take(tmp_path, "t", 0, STALE)
    assert claim is not None
    monkeypatch.undo()
    beat = next(tmp_path.glob("*.beat"))
    onlooker = Onlooker(tmp_path, "t")
    for n in range(30):  # it lives for longer than its time
        claim.beat({"n": n})
        os.utime(beat, (time.time() + skew, time.time() + skew))
        assert not onlooker.free()
        time.sleep(0.05)
    assert onlooker.moved
    begun = time.monotonic()
    assert watch(onlooker, 20)
    assert onlooker.silent
    assert time.monotonic() - begun >= STALE - 0.1


def test_a_heart_that_beats_keeps_its_claims_and_finds_those_it_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(monkeypatch)
    with Heart() as heart:
        kept, lost = take(tmp_path, "kept", 0, STALE), take(tmp_path, "lost", 0, STALE)
        assert kept is not None
        assert lost is not None
        heart.keep(kept)
        heart.keep(lost)
        monkeypatch.undo()
        assert not watch(Onlooker(tmp_path, "kept"), 2.5 * STALE)
        heart.tell(kept, {"phase": "train", "step": 3})
        assert take(tmp_path, "lost", 1, STALE) is not None
        told = False  # the beat under way when it was told may still be of the state before
        deadline = time.monotonic() + 10
        while not (heart.lost and told) and time.monotonic() < deadline:
            time.sleep(0.05)
            told = b'"step": 3' in heartbeat(tmp_path, "kept", kept.holder)[1]  # type: ignore[index]
        assert heart.lost == {lost.holder.token}
        assert told
    assert Onlooker(tmp_path, "kept").free()  # let go in the end


def test_who_was_passed_over_must_not_write(tmp_path: Path) -> None:
    first = take(tmp_path, "t", 0, STALE)
    assert first is not None
    first.renew()
    first.renew()
    assert first.held()
    assert newest_claim(tmp_path, "t") == (3, first.holder)
    second = take(tmp_path, "t", 3, STALE)
    assert second is not None
    assert not first.held()
    with pytest.raises(ClaimLostError, match=rf"t: taken over by process {os.getpid()} on "):
        first.renew()
    second.renew()


def test_the_holder_of_this_machine_that_was_killed_is_seen_at_once(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from unetzoo.bench.claims import take\n"
        "take(Path(sys.argv[1]), 't', 0, 1000); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert newest_claim(tmp_path, "t") is not None
    assert Onlooker(tmp_path, "t").free() == Path("/proc/self/stat").exists()


def test_an_onlooker_that_was_stopped_itself_counts_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(monkeypatch)
    assert take(tmp_path, "t", 0, 100) is not None
    monkeypatch.undo()
    now = 1000.0
    monkeypatch.setattr(claims, "time", SimpleNamespace(monotonic=lambda: now))
    onlooker = Onlooker(tmp_path, "t")
    for _ in range(20):
        assert not onlooker.free()
        now += 3600
    for _ in range(100):
        now += 1
        if onlooker.free():
            break
    assert onlooker.silent


def test_a_damaged_claim_is_free(tmp_path: Path) -> None:
    assert take(tmp_path, "t", 0, STALE) is not None
    next(tmp_path.glob("*.json")).write_bytes(b"\0\0")
    assert Onlooker(tmp_path, "t").free()
    next(tmp_path.glob("*.json")).write_text('{"token": "../../x"}')
    assert Onlooker(tmp_path, "t").free()


def test_disks_without_hard_links_and_lost_replies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(claims.os, "link", refused)
    assert take(tmp_path, "t", 0, STALE) is not None
    assert take(tmp_path, "t", 0, STALE) is None
    monkeypatch.undo()
    link = os.link

    def answered_late(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError

    monkeypatch.setattr(claims.os, "link", answered_late)
    claim = take(tmp_path, "u", 0, STALE)
    assert claim is not None
    assert claim.held()


def test_a_full_disk_is_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = take(tmp_path, "t", 0, STALE)
    assert claim is not None
    before = heartbeat(tmp_path, "t", claim.holder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    time.sleep(0.01)
    claim.beat({})
    assert heartbeat(tmp_path, "t", claim.holder) != before
