"""Installation; ``requirements/`` holds the dependency lists."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


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
    python_requires='>=3.10',
    install_requires=requirements('runtime'),
    extras_require={'optional': requirements('optional'), 'tests': requirements('tests')},
)
