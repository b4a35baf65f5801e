"""The pages show the rows, the most robust first, and know when they are out of date."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mmadvdefense.errors import UsageError
from mmadvdefense.evaluation.leaderboard.page import boards, outdated, pages


def test_pages(rows, clone):
    texts = pages(rows)
    (markdown, page) = texts.values()
    assert [path.as_posix() for path in texts] == ['docs/leaderboard.md', 'docs/leaderboard.html']
    assert markdown.startswith('# Board\n\nBy hand.\n\n<!--') and markdown.endswith(
        '<!-- end of leaderboard -->\n\nMore.\n'
    )
    assert '### Classification, CIFAR-10, L∞ 8, accuracy/top1 (%)' in markdown
    table = [re.split(r' *(?<!\\)\| *', line)[1:-1] for line in markdown.splitlines() if line.startswith('| `')]
    assert [line[0] for line in table] == ['`align_tiny`', '`bits_tiny`', '`none_tiny`']
    # Of 50 images: three are right, and none. The footnote that two rows have is there once.
    assert table[0][1:] == [
        'Align <sup>1</sup>', 'Tiny', '88.0', '78.0', '6.0 (1.3–16.5)', '6.0', 'AutoAttack, adaptive-bpda', '50',
    ]  # fmt: skip
    assert table[1][1] == r'[Bit depth 3 \| 8](https://arxiv.org/abs/1704.01155) <sup>1</sup>'
    assert table[2][5] == '0.0 (0.0–7.1)'
    assert markdown.count('1. Not differentiable.') == 1 and '\n2. ' not in markdown
    assert (
        page.count('<tr>\n  <td class="text" data-value=') == 3
        and 'python tools/leaderboard.py --verify bits_tiny' in page
    )
    assert 'SHA-256 <code>aae4b112' in page and 'src=' not in page and '<link' not in page
    assert sorted(map(str, outdated(rows))) == ['docs/leaderboard.html', 'docs/leaderboard.md']
    for path, text in texts.items():
        path.write_text(text)
    assert outdated(rows) == [] and pages(rows) == texts
    assert [path.name for path in outdated(rows[1:])] == ['leaderboard.md', 'leaderboard.html']


def test_only_what_can_be_compared_shares_a_table(rows):
    other = replace(rows[1], name='other', eps=4.0)
    assert [[row.name for row in board.rows] for board in boards([*rows, other])] == [
        ['other'],
        ['align_tiny', 'bits_tiny', 'none_tiny'],
    ]


def test_a_page_without_a_place(rows, clone):
    (clone / 'docs' / 'leaderboard.md').write_text('# Board\n')
    with pytest.raises(UsageError, match='docs/leaderboard.md has no place for the tables: put the lines <!-- leader'):
        pages(rows)
