"""What pyproject.toml cannot say: a wheel brings the default model, so that it can predict."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

MODELS = ("any-voice", "speech-encoder")  # the default, and the encoder that it rests on


class BuildWithModels(build_py):
    """Build the modules afresh, and copy the models into the package."""

    def run(self) -> None:
        """Build, but where the package is only linked to leave everything in its place."""
        if self.editable_mode:
            super().run()
            return
        package = Path(self.build_lib) / "sercourse"
        shutil.rmtree(package, ignore_errors=True)  # else a module that is gone would come back
        super().run()
        for name in MODELS:
            shutil.copytree(Path("models") / name, package / "models" / name)


setup(cmdclass={"build_py": BuildWithModels})
