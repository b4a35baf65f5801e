import base64

import numpy as np
import pytest

from mmadvdefense.evaluation.report import charts as figures


def test_lines_carry_the_numbers_they_were_given():
    figure = figures.line_figure(
        {'none': ([0, 2, 8], [90, 20, 0]), 'Align': ([0, 2, 8], [89, 80, 70])},
        'eps (pixels)',
        'accuracy (%)',
        bands={'Align': ([88, 78, 67], [90, 82, 73])},
    )
    (axes,) = figure.axes
    assert {line.get_label(): line.get_xydata().tolist() for line in axes.lines} == {
        'none': [[0, 90], [2, 20], [8, 0]],
        'Align': [[0, 89], [2, 80], [8, 70]],
    }
    assert len(axes.collections) == 1
    assert axes.get_ylim()[0] == 0
    with pytest.raises(ValueError, match='no line'):
        figures.line_figure({}, 'x', 'y')


def test_layers_are_named():
    figure = figures.line_figure({'pixels': ([0, 1], [0.1, 0.4])}, 'layer', 'E', ticks=['conv1', 'layer4'])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ['conv1', 'layer4']


def test_states_share_one_scale_and_classes_one_colour():
    places = {'clean': np.array([[0.0, 0], [10, 10]]), 'adversarial': np.array([[5.0, 5], [6, 6]])}
    figure = figures.scatter_figure(places, np.array([7, 2]), classes=list('abcdefgh'))
    first, second = figure.axes
    assert first.get_xlim() == second.get_xlim() and first.get_ylim() == second.get_ylim()
    assert first.get_title() == 'clean'
    colours = [axes.collections[0].get_facecolors() for axes in figure.axes]
    np.testing.assert_array_equal(*colours)
    assert (colours[0][0] != colours[0][1]).any()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ['c', 'h']


def test_svg_is_repeatable_and_stands_alone():
    def draw():
        return figures.svg(figures.line_figure({'a & <b>': ([0, 1], [1, 2])}, 'x', 'y'))

    text = draw()
    assert text == draw()
    assert text.startswith('<svg') and text.rstrip().endswith('</svg>')
    assert 'a &amp; &lt;b&gt;' in text
    assert 'xlink:href="http' not in text


def test_png_data_url_is_an_image():
    url = figures.png_data_url(figures.line_figure({'a': ([0, 1], [1, 2])}, 'x', 'y'))
    assert base64.b64decode(url.removeprefix('data:image/png;base64,')).startswith(b'\x89PNG')
