"""Figures and images become PNG files where they are."""

from __future__ import annotations

import io
import warnings

import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from fact_magics.pictures import image
from fact_magics.pictures.image import _BYTES
from fact_magics.values import ValueTypeError, decode, encode
from fact_magics.values.rendering import SHOWN_BYTES, rendered

pytestmark = pytest.mark.slow


@pytest.fixture
def figure():
    made = Figure(figsize=(3, 2), dpi=50)
    made.subplots().plot([1, 2], [3, 1])
    return made


class TestFigures:
    def test_it_is_cut_to_what_was_drawn_at_its_own_resolution(self, figure):
        width, height = image(rendered(figure)).size
        assert 110 < width < 160
        assert 80 < height < 110
        figure.set_dpi(100)
        assert image(rendered(figure)).size == pytest.approx((2 * width, 2 * height), rel=0.1)

    def test_labels_outside_the_figure_are_not_cut_off(self, figure):
        before = image(rendered(figure)).size
        figure.axes[0].set_ylabel("A label of\nthree\nlines")
        assert image(rendered(figure)).size[0] > before[0] + 10

    @pytest.mark.parametrize(
        ("suptitle", "titles", "said"),
        [
            ("", ["Sales per month"], "Sales per month"),
            ("All of it", ["Sales"], "All of it"),
            ("", ["Sales", "Sales", "", "Costs"], "Sales, Costs"),
            ("", ["  Zwölf\n€ "], "Zwölf €"),
            ("", [""], ""),
            ("x" * 300, [""], "x" * 200),
        ],
    )
    def test_its_title_is_in_the_file(self, suptitle, titles, said):
        figure = Figure(figsize=(2, 2))
        for axes, title in zip(figure.subplots(len(titles), squeeze=False).flat, titles, strict=True):
            axes.set_title(title)
        if suptitle:
            figure.suptitle(suptitle)
        assert image(rendered(figure)).title == said

    def test_the_same_drawing_gives_the_same_bytes(self):
        def draw() -> bytes | None:
            figure = Figure(figsize=(2, 1))
            figure.subplots().plot([1, 2])
            return rendered(figure)

        assert draw() == draw()

    def test_a_figure_without_content_is_a_white_picture(self):
        assert image(rendered(Figure(figsize=(2, 1), dpi=40))).size == (88, 48)

    @pytest.mark.parametrize(
        ("size", "dpi"),
        [((1_000, 1_000), 100), ((3, 2), 1e6), ((100_000, 0.01), 10_000)],
        ids=["inches", "resolution", "one side"],
    )
    def test_a_huge_one_is_refused_before_it_is_drawn(self, size, dpi):
        with pytest.raises(
            ValueTypeError, match=r"a figure of [\d,]+ by [\d,]+ pixels can't leave the tool; "
        ):
            encode(Figure(figsize=size, dpi=dpi))

    def test_one_whose_content_lies_far_apart_is_refused(self, figure):
        figure.text(500, 500, "far away")
        with pytest.raises(ValueTypeError, match="a figure whose content of"):
            encode(figure)

    def test_the_canvas_of_a_figure_stays_what_it_was(self):
        figure, axes = plt.subplots()
        axes.plot([1, 2])
        try:
            canvas = figure.canvas
            encode(figure)
            assert figure.canvas is canvas
        finally:
            plt.close(figure)

    def test_a_missing_glyph_warns_once(self, figure):
        figure.axes[0].set_title("日")
        with warnings.catch_warnings(record=True, action="always") as caught:
            rendered(figure)
        assert len(caught) == 1
        assert "missing from font" in str(caught[0].message)

    def test_the_axes_of_a_figure_say_what_to_return(self, figure):
        with pytest.raises(
            ValueTypeError, match=r"the Axes of a figure can't leave the tool; return its \.figure"
        ):
            encode(figure.axes[0])

    def test_what_can_t_be_drawn_says_why(self, figure):
        figure.axes[0].set_title("$\\frac{1$")
        with pytest.raises(
            ValueTypeError, match=r"a figure that can't be drawn \(ValueError: .*frac.*\) can't leave"
        ):
            encode(figure)

    def test_it_may_stand_in_a_list_or_a_dict(self, figure):
        found = decode(encode({"charts": [figure, None]}))
        assert image(found["charts"][0]).kind == "PNG"


class TestImages:
    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
    def test_its_pixels_stay_as_they_are(self, mode):
        made = Image.effect_noise((7, 5), 90).convert("RGB").convert(mode) if mode != "I;16" else None
        made = made or Image.new(mode, (7, 5), 40_000)
        with Image.open(io.BytesIO(rendered(made))) as back:
            assert back.mode == mode
            assert back.size == (7, 5)
            assert back.tobytes() == made.tobytes()

    @pytest.mark.parametrize(
        "mode", ["La", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16B", "PA"]
    )
    def test_other_colours_are_converted(self, mode):
        assert image(rendered(Image.new(mode, (7, 5)))).size == (7, 5)

    def test_one_that_was_read_from_a_file_is_rendered_too(self):
        file = io.BytesIO()
        Image.new("RGB", (9, 4), "red").save(file, "jpeg")
        with Image.open(file) as opened:
            assert image(rendered(opened)).size == (9, 4)

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
    def test_a_large_file_contains_a_smaller_picture_to_show(self, mode):
        """The picture itself, its size and its pixels stay what they are."""
        made = Image.effect_noise((1_500, 1_500), 90).convert(mode)
        if mode == "L":
            made = made.resize((2_500, 1_500))
        data = rendered(made)
        found = image(data)
        assert len(data) > SHOWN_BYTES == _BYTES
        assert (found.kind, found.size) == ("PNG", made.size)
        assert found.plain.endswith(" MB · shown smaller")
        assert set(found.bundle) == {"image/jpeg", "text/html", "text/plain"}
        assert found.bundle["image/jpeg"] in found.html
        with Image.open(io.BytesIO(found.preview)) as small:
            assert max(small.size) == 1_000
        with Image.open(io.BytesIO(data)) as back:
            assert back.tobytes() == made.tobytes()

    def test_a_small_file_contains_none(self):
        assert b"prVW" not in rendered(Image.new("RGB", (100, 100)))

    @pytest.mark.parametrize(
        ("made", "said"),
        [
            (
                lambda: Image.new("F", (2, 2)),
                'an image of mode F can\'t leave the tool; return image.convert("L")',
            ),
            (lambda: Image.new("I", (2, 2), -1), "mode I with values from -1 to -1 can't leave"),
            (lambda: Image.new("L", (0, 2)), "an image of 0 by 2 pixels can't leave"),
            (lambda: Image.new("1", (10_000, 6_000)), "an image of 10,000 by 6,000 pixels can't leave"),
        ],
        ids=["numbers", "negative", "empty", "huge"],
    )
    def test_one_that_is_no_picture_says_why(self, made, said):
        with pytest.raises(ValueTypeError) as refused:
            encode(made())
        assert said in str(refused.value)
