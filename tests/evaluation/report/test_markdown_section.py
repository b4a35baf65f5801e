"""A report's tables in a document that people write."""

from __future__ import annotations

import pytest

from mmadvdefense.evaluation.report.markdown_section import check_section, update_section

CONFIG = 'configs/robustness/tiny.py'
TEXT = """# Results

Written by hand.

<!-- robustness: configs/robustness/tiny.py -->
old
<!-- end of configs/robustness/tiny.py -->

More of it.
"""


@pytest.fixture
def report(make_result) -> dict:
    return {
        'complete': True,
        'config': CONFIG,
        'metric': 'accuracy/top1',
        'seed': 0,
        'quantized': False,
        'layers': [],
        'data': {'type': 'Tiny', 'images': 4},
        'defenses': {'none': {'purifier': None}},
        'methods': {'none': ['none']},
        'attacks': {'FGSM': {'title': 'FGSM (L-inf 8)'}},
        'threat_models': {'gray-box': {'name': 'gray-box', 'attacks': ['FGSM'], 'meaning': 'has the target'}},
        'cells': [
            {'threat_model': 'clean', **make_result('none').as_dict()},
            {'threat_model': 'gray-box', **make_result('none', 'gray-box', 'FGSM', '1100', 8.0).as_dict()},
        ],
        'worst_case': [],
        'comparisons': [],
    }


def test_only_the_section_changes(report, tmp_path):
    path = tmp_path / 'results.md'
    path.write_text(TEXT)
    for _ in range(2):
        update_section(path, report, 'python tools/robustness.py configs/robustness/tiny.py')
        text = path.read_text()
        assert text.startswith(
            '# Results\n\nWritten by hand.\n\n<!-- robustness: configs/robustness/tiny.py -->\n\n```bash'
        )
        assert text.endswith('<!-- end of configs/robustness/tiny.py -->\n\nMore of it.\n')
        assert '\n```bash\npython tools/robustness.py configs/robustness/tiny.py\n```\n' in text
        assert '### gray-box\n\n| accuracy/top1 (%) | clean  | FGSM  |\n' in text
        assert '| none              | 100.00 | 50.00 |\n' in text
        # Under its attack, and twice as the worst case.
        assert 'old' not in text and text.count('50.00') == 3
    assert list(tmp_path.iterdir()) == [path]


def test_a_document_without_a_place(tmp_path):
    path = tmp_path / 'results.md'
    path.write_text(TEXT)
    check_section(path, CONFIG)
    with pytest.raises(
        ValueError, match='no place for the tables of other.py: put the lines <!-- robustness: other.py'
    ):
        check_section(path, 'other.py')
    path.write_text(TEXT.replace('<!-- end of', '<!--'))
    with pytest.raises(ValueError, match='no place'):
        check_section(path, CONFIG)
