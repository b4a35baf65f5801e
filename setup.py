"""Installation; ``requirements/`` holds the dependency lists."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


class BuildWithConfigs(build_py):
    """Packs configs and tools where OpenMMLab's packages have them; an editable installation reads them in place."""

    def run(self) -> None:
        super().run()
        if not getattr(self, 'editable_mode', False):
            for folder in ('configs', 'tools'):
                target = Path(self.build_lib) / 'mmadvdefense' / '.mim' / folder
                shutil.copytree(ROOT / folder, target, dirs_exist_ok=True)


version: dict[str, str] = {}
exec((ROOT / 'mmadvdefense' / 'version.py').read_text(), version)

setup(
    name='mmadvdefense',
    version=version['__version__'],
    description='Adversarial purifiers and robustness evaluation for every OpenMMLab model',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmadvdefense', 'mmadvdefense.*']),
    package_data={'mmadvdefense.evaluation': ['templates/*.html']},
    cmdclass=dict(build_py=BuildWithConfigs),
    python_requires='>=3.10',
    install_requires=requirements('runtime'),
    extras_require={name: requirements(name) for name in ('attacks', 'optional', 'purifiers', 'tests')},
)
