"""A report that nothing would change is not written again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from support.records import folder_of, noisy
from unetzoo.report import write_report
from unetzoo.report.fresh import Stamp


def test_written_if_changed_it_is_left_alone_until_something_changes(tmp_path: Path) -> None:
    folder, more = folder_of(tmp_path / "run", noisy("unet", 0, 0.8)), folder_of(tmp_path / "b", noisy("b", 0, 0.7))
    page = write_report(folder, brief=True, if_changed=True)

    def written(if_changed: bool = True, **options: Any) -> bool:
        before = page.stat().st_mtime_ns
        assert write_report(folder, brief=True, if_changed=if_changed, **options) == page
        return page.stat().st_mtime_ns != before

    assert not written()
    assert written(margin=0.02)
    assert written()  # the margin is another again
    (folder / "results.csv").write_text("changed by hand")
    assert written()
    shutil.copytree(more / "records", folder / "records", dirs_exist_ok=True)
    assert written()
    assert not written()
    assert written(if_changed=False, lang="zh")  # as by another command, which leaves no stamp
    assert written()
    (folder / ".report").write_bytes(b"\xff")
    assert written()


def test_a_record_that_comes_while_the_report_is_written_is_not_missed(tmp_path: Path) -> None:
    folder, more = folder_of(tmp_path / "run", noisy("unet", 0, 0.8)), folder_of(tmp_path / "b", noisy("b", 0, 0.7))
    stamp = Stamp(folder, "")
    (folder / "index.html").write_text("of one record")
    stamp.put()
    assert Stamp(folder, "").valid()
    stamp = Stamp(folder, "")
    shutil.copytree(more / "records", folder / "records", dirs_exist_ok=True)  # by another process, a little too late
    stamp.put()
    assert not Stamp(folder, "").valid()
