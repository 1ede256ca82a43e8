"""What setup.cfg cannot say: which files outside of the package travel with it.

- inspector_plugin.pth goes next to the package, in a wheel as in an editable install, so that
  lm_eval finds the tasks (see _inspector_lmeval_hook.py).
- tasks/, probes/ and the JSON schemas go into the package in a wheel; an editable install reads
  them in place.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HOOK = "inspector_plugin.pth"
# Where each folder of the repository is inside the package.
FOLDERS = {"tasks": "tasks", "probes": "probes", "docs/schemas": "schemas"}


def shipped_files():
    """Say where each file of the folders that travel inside the package is there."""
    return {
        str(path): str(Path(inside, path.relative_to(folder)))
        for folder, inside in FOLDERS.items()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


class BuildPyWithData(build_py):
    """Copies the hook and the folders as well."""

    def run(self):
        super().run()
        for source, target in self._copies().items():
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(source, target)

    def get_source_files(self):
        return [*super().get_source_files(), HOOK, *shipped_files()]

    def get_outputs(self, include_bytecode=True):
        return [*super().get_outputs(include_bytecode), *self._copies().values()]

    def _copies(self):
        if self.editable_mode:
            site_packages = self.get_finalized_command("install").install_lib
            return {HOOK: str(Path(site_packages, HOOK))}
        package = Path(self.build_lib, "inspector_plugin")
        inside = {source: str(package / path) for source, path in shipped_files().items()}
        return {HOOK: str(Path(self.build_lib, HOOK)), **inside}


setup(cmdclass={"build_py": BuildPyWithData})
