"""Result files: read as written, and refused if they are malformed, contradict themselves or have no valid receipt."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mmadvdefense.errors import UsageError
from mmadvdefense.evaluation.leaderboard import check_receipt, read_row, read_rows, write_row


def test_read_as_written(rows, clone):
    with pytest.raises(UsageError, match='there are no result files in zoo.results'):
        read_rows()
    paths = [write_row(row) for row in rows]
    assert [path.as_posix() for path in paths][1] == 'zoo/results/classification/bits_tiny.json'
    assert read_rows() == sorted(rows, key=lambda row: row.name)
    for row in rows:
        check_receipt(row)


@pytest.mark.parametrize(
    'place, value, message',
    [
        ('clean_acc', '80', "bits_tiny.json: clean_acc must be a number, got '80'"),
        ('clean_acc', 180.0, 'clean_acc must be in 0-100, got 180.0'),
        ('clean_acc', 81.0, 'clean_acc is 81.0, but its attacks say 80.0'),
        ('images', True, 'images must be an integer, got True'),
        ('footnote', 3, 'footnote must be text, got 3'),
        # That of the attacker who does not know the defense.
        ('autoattack_acc', 20.0, 'autoattack_acc is 20.0, but its attacks say 0.0'),
        ('gray_box_acc', 50.0, 'gray_box_acc is 50.0, above the 12.0 under PGD, gray-box'),
        ('gray_box_acc', None, 'gray_box_acc and gray_box_attack must be there if and only if there is such an attack'),
        (
            'adaptive_attack',
            'Square',
            "adaptive_attack is 'Square', which is not the attack with the lowest number, 0.0",
        ),
        ('adaptive_acc_8bit', 1.0, 'adaptive_acc_8bit is 1.0, but attacks_8bit say'),
        ('name', 'other', "holds the row 'other' of classification, which belongs into classification/other.json"),
        ('version', 9, "its format is 'mmadvdefense leaderboard row' 9"),
        ('attacks', [], 'attacks must begin with clean images'),
        ('receipt.command', None, 'receipt: command must be text, got None'),
        ('receipt.target', 'tiny.pth', "receipt: target must be an object, got 'tiny.pth'"),
        ('receipt.sha', 1, "receipt has an unknown field 'sha'; did you mean"),
        ('attacks.1.score', None, r'attacks\[1\]: score must be a number, got None'),
        ('attacks.1.interval', [5.0, 2.0], 'interval must be two numbers in ascending order'),
    ],
)
def test_malformed_files(rows, place, value, message):
    path = write_row(rows[1])
    values = json.loads(path.read_text())
    *folders, name = place.split('.')
    part = values
    for folder in folders:
        part = part[int(folder) if isinstance(part, list) else folder]
    part[name] = value
    path.write_text(json.dumps(values))
    with pytest.raises(UsageError, match=message) as caught:
        read_row(path)
    assert str(caught.value).startswith(str(path)) and '\n' not in str(caught.value)


def test_what_is_missing_or_no_json(rows):
    path = write_row(rows[1])
    values = json.loads(path.read_text())
    del values['eps'], values['l2']
    path.write_text(json.dumps(values))
    with pytest.raises(UsageError, match='bits_tiny.json lacks eps, l2$'):
        read_row(path)
    path.write_text('name: bits')
    with pytest.raises(UsageError, match='bits_tiny.json is no JSON'):
        read_row(path)


def test_receipts(rows, clone):
    _, bits, align = rows

    def refused(row, message, **changes):
        with pytest.raises(UsageError, match=f'{row.path} has no valid receipt: it .*{message}'):
            check_receipt(replace(row, receipt=replace(row.receipt, **changes)))

    refused(bits, 'has no command that runs grid.py', command='')
    refused(
        bits, 'names the grid gone.py, which is not there', grid='gone.py', command='python tools/robustness.py gone.py'
    )
    refused(bits, "is of 'byte', which grid.py does not have", defense='byte')
    refused(bits, 'run it again', config={'data_preprocessor': {'type': 'BitDepthPurifier', 'bits': 4}})
    refused(align, r"has digests of \[\], but uses \['zoo://align_resnet20_cifar10'\]", files={})
    refused(align, 'its SHA-256 was 0000', files={'zoo://align_resnet20_cifar10': '0' * 64})
    # The grid moves on.
    text = (clone / 'grid.py').read_text()
    (clone / 'grid.py').write_text(text.replace('zoo://align_resnet20_cifar10', 'zoo://gone'))
    refused(align, 'zoo://gone.* run it again')
    gone = {
        'data_preprocessor': {'type': 'AlignPurifier', 'init_cfg': {'type': 'Pretrained', 'checkpoint': 'zoo://gone'}}
    }
    refused(align, "names zoo://gone: there is no 'gone' in the zoo", config=gone, files={'zoo://gone': '0' * 64})
    (clone / 'grid.py').write_text(text.replace('zoo://align_resnet20_cifar10', 'checkpoints/mine.pth'))
    gone['data_preprocessor']['init_cfg']['checkpoint'] = 'checkpoints/mine.pth'
    refused(align, 'uses checkpoints/mine.pth, which is not in the zoo', config=gone, files={})
