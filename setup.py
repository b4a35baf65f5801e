"""The one build step that ``pyproject.toml``, which holds everything else, cannot state."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithConfigs(build_py):
    """Packs configs, tools and the zoo as OpenMMLab's packages do; an editable installation reads them in place."""

    def run(self) -> None:
        super().run()
        if not getattr(self, 'editable_mode', False):
            for folder in ('configs', 'tools', 'zoo'):
                target = Path(self.build_lib) / 'mmadvdefense' / '.mim' / folder
                # A folder left by an earlier build would keep files that have been removed since.
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(ROOT / folder, target, ignore=shutil.ignore_patterns('__pycache__', '*.py[cod]'))


setup(cmdclass=dict(build_py=BuildWithConfigs))
