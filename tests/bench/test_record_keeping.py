"""Facts of a trial beyond its scores: the groups of its test images, and how batch norms saw a distributed batch."""

from __future__ import annotations

from pathlib import Path

import unetzoo
from support import quick_timings
from support.data_folders import make_folder
from unetzoo.bench.run_trial import _describe_batch_norm
from unetzoo.records.reading import read_all


def test_every_record_keeps_what_its_test_images_were_sampled_with(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data")
    split = ["train"] * 4 + ["val"] + ["test"] * 3
    rows = [f"images/a{i}.png,masks/a{i}.png,{split[i]},{'' if i == 7 else f'p{i // 2}'}" for i in range(8)]
    rows[4] = rows[4].replace("p2", "p9")
    (folder / "pairs.csv").write_text("\n".join(["image,mask,split,patient", *rows]))
    (folder / "dataset.toml").write_text(
        """
        name = "mine"
        pairs = "pairs.csv"
        channels = 3
        range = [0, 255]
        group = "patient"
        classes = [{name = "background", values = [0], foreground = false}, {name = "disc", values = [255]}]
        """
    )
    suite = unetzoo.Suite(
        name="s",
        models=["unet"],
        set={"width": 4, "depth": 2},
        imports=[quick_timings.__file__],
        data={"name": "folder", "root": str(folder / "dataset.toml")},
        train={"steps": 2, "batch_size": 2, "crop": 32, "device": "cpu", "threads": 1},
        measure={"size": 32, "repeats": 5, "attempts": 1},
    )
    unetzoo.run(suite, tmp_path / "out")
    records, _ = read_all(tmp_path / "out")
    assert len(records) == 6
    for record in records:
        assert record.status == "ok", record.log_tail
        assert record.result is not None
        assert set(record.result.per_image) == {"a5", "a6", "a7"}
        assert record.result.groups == {"a5": "p2", "a6": "p3"}
        assert "batch_norm" not in record.environment


def test_a_record_of_several_processes_says_what_batch_norms_saw() -> None:
    assert _describe_batch_norm(1, "cuda") == {}
    assert _describe_batch_norm(2, "cuda") == {"batch_norm": "over the batch of all processes"}
    assert _describe_batch_norm(2, "cpu") == {"batch_norm": "over each process's share of the batch"}
