"""The table of exports on the zoo's page, and the script that checks them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from unetzoo.gallery.exports import EXPORTS, equal, export_table, read_checks
from unetzoo.gallery.measured import EntryMeasurements, ExportCheck
from unetzoo.gallery.page import write_zoo
from unetzoo.models.registry import entries

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """Import ``benchmarks/export.py``, which is not in a package."""
    spec = importlib.util.spec_from_file_location("export", ROOT / "benchmarks/export.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(name: str, backend: str, **fields: Any) -> ExportCheck:
    return ExportCheck(**{"name": name, "key": "k", "backend": backend, "sides": "any side from 16 px", **fields})


def test_the_page_has_a_row_for_each_entry_that_was_checked(tmp_path: Path) -> None:
    found = [
        check("unet", "onnxruntime", relative=3e-7, versions={"torch": "2.14.1"}),
        check("unet", "openvino", relative=2e-4),
        check("unet_bilinear", "onnxruntime", relative=1e-7),
        check("unet_bilinear", "openvino", relative=1e-7),
        check("unetpp", "onnxruntime", failed="no <b>"),
    ]
    (tmp_path / EXPORTS).write_text("".join(f"{each.model_dump_json()}\n" for each in found))
    assert [equal(each) for each in found] == [True, False, True, True, False]
    measured = {name: EntryMeasurements(name=name, key="k") for name in ("unet", "unet_bilinear", "unetpp")}
    html = write_zoo(tmp_path, entries(), measured, parity=False).read_text()
    markdown = (tmp_path / "README.md").read_text()
    for page in (html, markdown):
        assert "1 of 3 networks, exported to ONNX, give torch&#39;s logits in both runtimes; 2 do not" in page.replace(
            "torch's", "torch&#39;s"
        )
        assert "no: no &lt;b&gt;" in page
        assert "torch 2.14.1" in page
    assert "| unet | 3e-07 | **2e-04** | any side from 16 px |" in markdown
    (tmp_path / EXPORTS).unlink()
    write_zoo(tmp_path, entries(), measured, parity=False)
    assert "Exports" not in (tmp_path / "README.md").read_text()
    assert export_table({}, ["unet"]) is None


def test_the_script_resumes(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    bad: set[str] = {"unetpp"}

    def apart(names: list[str], file: Path, minutes: float) -> None:
        asked.extend(names)
        for name in names:
            for backend in script.BACKENDS:
                result: dict[str, Any] = {"failed": "why"} if name in bad else {"relative": 0.0}
                script._add(file, check(name, backend, **result).model_copy(update={"key": script.key_of(name)}))

    monkeypatch.setattr(script, "_apart", apart)

    def run() -> list[str]:
        asked.clear()
        assert script.main(["--out", str(tmp_path), "--only", "unetpp,unet"]) == 0
        return asked[:]

    assert run() == ["unetpp", "unet"]
    assert run() == ["unetpp"]  # what failed is checked again
    bad.clear()
    assert run() == ["unetpp"]
    assert run() == []
    assert list(read_checks(tmp_path)) == [(n, b) for n in ("unet", "unetpp") for b in ("onnxruntime", "openvino")]
    assert (tmp_path / EXPORTS).read_text().count("\n") == 4
    monkeypatch.setattr(script, "installed_version", lambda package: "another")
    assert run() == ["unetpp", "unet"]
    assert script.main(["--out", str(tmp_path), "--only", "unett"]) == 2


def test_a_network_that_cannot_be_exported_is_told(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no\nway")

    monkeypatch.setattr("unetzoo.export.graph.trace", fails)
    found = script.check("unet_d2", "key")
    assert [(each.backend, each.failed) for each in found] == [
        ("onnxruntime", "ValueError: no"),
        ("openvino", "ValueError: no"),
    ]
