"""SVG drawings: those that a browser would draw for minutes are described in words, and real ones are shown."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from late import Late

from fact_magics.display.result import show
from fact_magics.pictures import image

DRAWINGS = sorted((Path(__file__).parent / "drawings").glob("*.svg"))
SHAPE = '<rect width="600" height="400"/>'


def svg(content, attributes='width="600" height="400"'):
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f"<svg {spaces} {attributes}>{content}</svg>"


def nested(element, levels=20, times=10):
    """Write definitions of which each draws the one before it several times."""
    layers = [f'<g id="a0">{SHAPE}</g>']
    layers += [f'<g id="a{n}">{element.format(n=n - 1) * times}</g>' for n in range(1, levels)]
    return "".join(layers)


def html(content, **_):
    return (
        '<foreignObject width="9" height="9">'
        f'<div xmlns="http://www.w3.org/1999/xhtml">{content}</div></foreignObject>'
    )


def link(address):
    return f'<image href="{address}" width="9" height="9"/>'


def embedded(kind, data):
    return link(f"data:image/{kind};base64,{b64encode(data).decode()}")


HUGE_GIF = b"GIF89a\xff\xff\xff\xff\x00\x00\x00;"
UNSCALED = '<path vector-effect="non-scaling-stroke" stroke-dasharray="1" d="M0 0h9"/>'
ACCENT = "\u0301"
LONG = "M0 0" + "L600 400L0 0" * 30_000
BOMBS = {
    "nested use": nested('<use href="#a{n}"/>'),
    "nested use by XLink": nested('<use xlink:href="#a{n}"/>'),
    "nested use before the definitions": f'<use href="#a19"/><defs>{nested("<use href=" + chr(34) + "#a{n}" + chr(34) + "/>")}</defs>',
    "a circle": '<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>',
    "a use of itself": '<g id="a"><use href="#a"/></g>',
    "symbols": "".join(
        f'<symbol id="a{n}">{SHAPE}{f"<use href={chr(34)}#a{n - 1}{chr(34)}/>" * 10}</symbol>'
        for n in range(1, 12)
    )
    + '<use href="#a11"/>',
    "patterns": "".join(
        f'<pattern id="a{n}" width="9" height="9">{SHAPE.replace("/>", f" fill={chr(34)}url(#a{n - 1}){chr(34)}/>") * 10}</pattern>'
        for n in range(1, 12)
    )
    + '<rect width="9" height="9" fill="url(#a11)"/>',
    "masks": "".join(
        f'<mask id="a{n}">{SHAPE.replace("/>", f" mask={chr(34)}url(#a{n - 1}){chr(34)}/>") * 10}</mask>'
        for n in range(1, 12)
    )
    + '<rect width="9" height="9" style="mask:url( \'#a11\' )"/>',
    "clip paths": "".join(
        f'<clipPath id="a{n}">{SHAPE.replace("/>", f" clip-path={chr(34)}url(#a{n - 1}){chr(34)}/>") * 10}</clipPath>'
        for n in range(1, 12)
    )
    + '<rect width="9" height="9" clip-path="url(#a11)"/>',
    "markers at each point": f'<marker id="m">{SHAPE * 1_000}</marker><path d="{"M0 0h9" * 500}" marker-mid="url(#m)"/>',
    "patterns by a stylesheet": "<style>"
    + "".join(f".c{n}{{fill:url(#a{n})}}" for n in range(12))
    + "</style>"
    + "".join(
        f'<pattern id="a{n}" width="9" height="9">{SHAPE.replace("/>", f" class={chr(34)}c{n - 1}{chr(34)}/>") * 10}</pattern>'
        for n in range(1, 12)
    )
    + '<rect width="9" height="9" class="c11"/>',
    "a chain of gradients": "".join(
        f'<linearGradient id="a{n}" href="#a{n - 1}"/><rect fill="url(#a{n})" width="9" height="9"/>'
        for n in range(3_000)
    ),
    "another document": '<use href="other.svg#a"/>',
    "another document in a data address": '<use href="data:image/svg+xml,%3Csvg/%3E#a"/>',
    "an escaped address": '<g id="ab"/><use href="#%61b"/>',
    "another document in a style": '<rect style="fill:url(http://example.org/#a)"/>',
    "an escaped function": '<rect fill="u\\72l(#a)"/>',
    "an escaped property": '<rect style="f\\69lter:blur(9px)"/>',
    "filters": f'<filter id="f"><feGaussianBlur stdDeviation="50"/></filter>{SHAPE.replace("/>", " filter=" + chr(34) + "url(#f)" + chr(34) + "/>") * 1_000}',
    "filters in styles": '<g style="filter:blur(9px) blur(9px)"/>' * 1_000,
    "filters by a stylesheet": f"<style>rect{{filter:blur(9px)}}</style>{SHAPE * 1_000}",
    "turbulence": f'<filter id="f"><feTurbulence/></filter>{SHAPE.replace("/>", " filter=" + chr(34) + "url(#f)" + chr(34) + "/>") * 100}',
    "a picture in a filter": '<filter id="f"><feImage href="#a"/></filter>',
    "animations": '<rect><animate attributeName="x" from="0" to="9" dur="1s"/></rect>' * 1_000,
    "animations by a stylesheet": f"<style>@keyframes a{{to{{x:9px}}}}rect{{animation:a 1s}}</style>{SHAPE * 1_000}",
    "an animation of much": Late(
        lambda: f'{SHAPE * 20_000}<animate attributeName="x" from="0" to="9" dur="1s"/>'
    ),
    "an animation of a reference": '<g id="a"/><use href="#a"><set attributeName="href" to="#b"/></use>',
    "animated dashes": "<style>@keyframes a{to{stroke-dasharray:.001}}</style>",
    "dashes": '<path d="M0 0L1000000 0" stroke-dasharray=".01"/>',
    "dashes of many lines": '<path d="M0 0h1000" style="stroke-dasharray: 0.01"/>' * 500,
    "inherited dashes": f'<g stroke-dasharray="0.001">{"<circle r=" + chr(34) + "99" + chr(34) + "/>"}{"<line x2=" + chr(34) + "900" + chr(34) + "/>" * 99}</g>',
    "dashes by a use": '<g stroke-dasharray=".001"><use href="#p"/></g><path id="p" d="M0 0L9000 9000"/>',
    "dashes by a stylesheet": "<style>/* */ path { stroke-dasharray: .0001px }</style><path d='M0 0h900'/>",
    "dashes that are enlarged": '<g transform="scale(1e6)"><path vector-effect="non-scaling-stroke" stroke-dasharray="1" d="M0 0h9"/></g>',
    "dashes of a tiny length": '<path d="M0 0h9" stroke-dasharray="1e-0000009"/>',
    "dashes of an infinite line": '<path d="M1e999 0L2e999 0" stroke-dasharray="1e999"/>',
    "dashes of a claimed length": '<path d="M0 0L600 400" pathLength="1000000" stroke-dasharray="1"/>' * 9,
    "dashes of a polyline": '<polyline points="0,0 9,9" pathLength="1000000" stroke-dasharray="1"/>' * 9,
    "dashes of a size in a stylesheet": "<style>circle{r:99999px;stroke-dasharray:.1px}</style><circle r='1'/>",
    "dashes of a size in a style": '<circle r="1" style="r:9999vmax;stroke-dasharray:.1"/>' * 9,
    "dashes of a computed size": '<circle style="r:calc(1px*99999)" stroke-dasharray=".1"/>',
    "dashes of an animated size": '<circle stroke-dasharray=".1"><set attributeName="r" to="99999"/></circle>',
    "dashes of a size in an animation": "<style>@keyframes a{to{r:99999px}}</style>"
    '<circle stroke-dasharray=".1"/>',
    "dashes of curves that grow": f'<path d="M0 0Q0 9 0 600{"T0 0T0 600" * 500}" stroke-dasharray="9"/>',
    "dashes that a style enlarges": f'<g style="transform:scale(1e6)">{UNSCALED}</g>',
    "dashes that a stylesheet enlarges": f"<style>g{{transform:scale(1e6)}}</style><g>{UNSCALED}</g>",
    "dashes that a drawing inside enlarges": f'<svg viewBox="0 0 .001 .001">{UNSCALED}</svg>',
    "dashes that a marker enlarges": f'<marker id="m">{UNSCALED}</marker>',
    "dashes that an animation enlarges": f'<g>{UNSCALED}<animateTransform type="scale" to="1e6"/></g>',
    "inherited markers": f'<marker id="m">{SHAPE * 1_000}</marker><g marker-mid="url(#m)">'
    f'<path d="{"M0 0h9" * 500}"/></g>',
    "markers that a use inherits": f'<marker id="m">{SHAPE * 1_000}</marker><path id="p" d="{"M0 0h9" * 500}"/>'
    '<use href="#p" marker-mid="url(#m)"/>',
    "markers by an animation": f'<marker id="m">{SHAPE * 1_000}</marker><path d="{"M0 0h9" * 500}">'
    '<set attributeName="marker-mid" to="url(#m)"/></path>',
    "an inherited pattern": f'<pattern id="p">{SHAPE * 1_000}</pattern><g fill="url(#p)">{SHAPE * 1_000}</g>',
    "an inherited pattern by a stylesheet": f'<pattern id="p">{SHAPE * 1_000}</pattern>'
    f"<style>svg{{stroke:url(#p)}}</style>{SHAPE * 1_000}",
    "an inherited gradient": Late(lambda: f'<radialGradient id="p"/><g fill="url(#p)">{SHAPE * 20_000}</g>'),
    "gradients": Late(
        lambda: (
            f'<radialGradient id="p"/>{SHAPE.replace("/>", " fill=" + chr(34) + "url(#p)" + chr(34) + "/>") * 20_000}'
        )
    ),
    "translucent groups": Late(lambda: f'<g opacity=".5">{SHAPE}</g>' * 30_000),
    "translucent groups by a stylesheet": Late(
        lambda: f"<style>g{{opacity:.5}}</style>{f'<g>{SHAPE}</g>' * 30_000}"
    ),
    "text in a stylesheet": f"<style>div::before{{content:'{'word ' * 1_000}'}}</style>{html('a')}",
    "text in a variable": f"<style>svg{{--a:'{'word ' * 1_000}'}}</style>",
    "text before items": f"<style>li{{list-style:'{'word ' * 1_000}'}}</style>{html('<ul><li>a</li></ul>')}",
    "short text in a stylesheet": f"<style>b::before{{content:'{'a' * 90}'}}</style>{html('<b/>' * 5_000)}",
    "a large tile": '<pattern id="p" width="500" height="300" patternUnits="userSpaceOnUse"/>'
    + SHAPE.replace("/>", ' fill="url(#p)"/>') * 400,
    "a tiny tile": '<pattern id="p" width=".001" height=".001"/>'
    + SHAPE.replace("/>", ' fill="url(#p)"/>') * 400,
    "a scribble": Late(lambda: f'<path fill="none" d="{LONG[:400_000]}"/>'),
    "a scribble of relative lines": Late(lambda: f'<path fill="none" d="M0 0{"l9 9l-9-9" * 20_000}"/>'),
    "marks on a letter": f"<text>a{ACCENT * 6_000}</text>",
    "marks on a letter in parts": f"<text>a<tspan>{ACCENT * 60}</tspan></text>" * 100,
    "broken borders": f"<style>b{{border:9px dotted red}}</style>{html('<b/>' * 3_000)}",
    "boxes with shadows": f"<style>b{{box-shadow:inset 0 0 300px red}}</style>{html('<b/>' * 600)}",
    "many shadows": f"<g style='box-shadow:{'0 0 9px red,' * 3_000}0 0'/>",
    "shadows that are inherited": f"<g style='text-shadow:0 0 9px red'>{'<text>a</text>' * 5_000}</g>",
    "a filter in a variable": "<style>svg{--a:blur(9px) blur(9px)}g{filter:var(--a)}</style><g/>",
    "a filter whose results are used twice": '<filter id="f">'
    + "".join(f'<feBlend in="a{n}" in2="a{n}" result="a{n + 1}"/>' for n in range(12))
    + '</filter><g filter="url(#f)"/>',
    "a filter that merges its results": '<filter id="f">'
    + "<feMerge><feMergeNode/><feMergeNode/></feMerge>" * 12
    + '</filter><g filter="url(#f)"/>',
    "an animation of a path": Late(lambda: f'<path><animate attributeName="d" to="{LONG}"/></path>'),
    "an animation of an effect": '<g><set attributeName="filter" to="blur(9px)"/></g>',
    "a long path": Late(lambda: f'<path d="{LONG}"/>'),
    "long text": Late(lambda: f"<text>{'word ' * 40_000}</text>"),
    "repeated text": f'<text id="t">{"word " * 1_000}</text>' + '<use href="#t"/>' * 200,
    "text placed by letter": Late(lambda: f'<text x="{"1 " * 90_000}">{"a" * 140_000}</text>'),
    "many elements": Late(lambda: "<g/>" * 100_001),
    "deep nesting": "<g>" * 300 + "</g>" * 300,
    "a script in HTML": html("<script/>"),
    "a page in a page": html('<iframe src="x"/>'),
    "a stylesheet in HTML": html("<style>*{}</style>"),
    "deep HTML": html("<div>" * 30 + "</div>" * 30),
    "a selector of siblings": f"<style>a ~ * ~ rect{{fill:red}}</style>{SHAPE}",
    "a selector of what is inside": f"<style>g:has(a) rect{{fill:red}}</style>{SHAPE}",
    "many rules for all": Late(lambda: f"<style>{'*{fill:red}' * 10_000}</style>{SHAPE * 5_000}"),
    "variables of variables": "<style>svg{--a:aaaaaaaaaa;--b:var(--a)var(--a)}</style>",
    "an import": "<style>@import 'x.css';</style>",
    "a font": "<style>@font-face{src:url(data:font/woff2;base64,AAAA)}</style>",
    "rules in rules": "<style>rect{fill:red;g{fill:red}}</style>",
    "a string that hides a rule": "<style>a{b:'}rect{filter:blur(9px)}'}</style>",
    "an open string": "<style>a{b:'\n}</style>",
    "a path in a stylesheet": "<style>rect{d:path('M0 0')}</style>",
    "a drawing in the drawing": embedded("svg+xml", b"<svg/>"),
    "a drawing that claims to be a bitmap": embedded("png", b"<svg/>"),
    "a picture that is no Base64": link("data:image/png;base64,A"),
    "a large picture in the drawing": embedded("gif", HUGE_GIF),
    "a picture drawn often": embedded("gif", b"GIF89a\x88\x13\x88\x13\x00\x00\x00;").replace(
        "<image", '<image id="i"'
    )
    + '<use href="#i"/>' * 100,
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_a_drawing_that_could_take_long_is_described_in_one_line_and_not_shown(parse, content):
    document = svg(content)
    for value in (document, document.encode()):
        result = show(value)
        assert not parse(result.html).all("img", "svg")
        assert result.plain.splitlines()[0].startswith("SVG picture · 600 by 400 pixels · ")
        assert " · not shown, because " in result.plain.splitlines()[0]
    assert len(show(document.encode()).plain.splitlines()) == 1


@pytest.mark.parametrize(
    "document",
    [
        svg("", 'width="60000" height="60000"'),
        svg("", 'width="1e9px" height="2"'),
        svg("", 'width="900in" height="2"'),
        '<?xml-stylesheet href="x.css"?>' + svg(""),
    ],
)
def test_a_drawing_with_huge_sides_or_a_stylesheet_elsewhere_is_not_shown(document):
    found = image(document)
    assert found is not None
    assert not found.fits
    assert "not shown, because it" in found.plain


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE svg [<!ATTLIST use href CDATA "#a">]>' + svg('<g id="a"/>'),
        '<!DOCTYPE svg [<!ENTITY a "b">]>' + svg("&a;"),
    ],
)
def test_a_document_that_declares_entities_or_attributes_is_text(document):
    assert image(document) is None


def test_bytes_in_an_encoding_that_browsers_may_read_differently_are_no_drawing():
    assert image(b'<?xml version="1.0" encoding="cp1252"?>' + svg("").encode()) is None
    assert image(b'<?xml version="1.0" encoding="utf-8"?>' + svg("").encode()) is not None


@pytest.mark.parametrize(
    "content",
    [
        Late(lambda: f"<style>{'/*' * 900_000}</style>"),
        Late(lambda: f"<style>{'a' * 1_900_000}{{}}</style>"),
        Late(lambda: f"<style>{'a' * 900_000}!{{}}</style>"),
        Late(lambda: f"<style>{'*=' * 900_000}!{{}}</style>"),
        Late(lambda: f"<style>a{{{'b' * 1_900_000}}}</style>"),
        Late(lambda: f"<style>{':a(' * 600_000}{{}}</style>"),
        Late(lambda: f"<style>a{{b:{'url( ' * 300_000}}}</style>"),
        Late(lambda: f"<style>{'.a,' * 300_000}a{{filter:blur(1px)}}</style>" + '<g class="a"/>' * 1_000),
        Late(lambda: f'<svg width="1{" " * 1_900_000}%"/>'),
        Late(lambda: f'<path d="{"1" * 1_900_000}" stroke-dasharray="1"/>'),
        Late(lambda: f'<path d="{"0 " * 450_000}" style="{"marker:url(#a);" * 50_000}"/>'),
    ],
    ids=range(11),
)
def test_a_drawing_that_is_hard_to_check_is_checked_in_linear_time(content):
    """A check that took time in the square of the size would run for hours."""
    assert image(svg(content)) is not None
    assert image(svg("", f'width="1{" " * 1_900_000}%"')) is not None


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_what_drawing_programs_write_is_shown_unchanged(path):
    found = image(path.read_bytes())
    assert found is not None
    assert found.fits, found.plain
    assert found.data == path.read_bytes()


def test_a_scatter_of_ten_thousand_points_is_shown():
    document = next(path for path in DRAWINGS if path.stem == "matplotlib_scatter").read_text("utf-8")
    [use, *_] = [line for line in document.splitlines() if "<use " in line]
    found = image(document.replace(use, f"<g>{use}</g>\n" * 10_000))
    assert found is not None
    assert found.fits, found.plain


def test_a_graph_of_five_hundred_nodes_is_shown():
    document = next(path for path in DRAWINGS if path.stem == "mermaid").read_text("utf-8")
    begin, end = document.index('<g class="node default"'), document.index("</g></g></g></g></g><defs>")
    node = document[begin : end + len("</g></g>")]
    found = image(document.replace(node, node * 500))
    assert found is not None
    assert found.fits, found.plain


@pytest.mark.parametrize(
    "content",
    [
        '<rect width="9" height="9"><animate attributeName="x" from="0" to="9" dur="1s"/></rect>',
        "<style>@keyframes spin{to{transform:rotate(360deg)}}rect{animation:spin 1s}</style>" + SHAPE,
        f'<filter id="f"><feGaussianBlur stdDeviation="2"/></filter><g filter="url(#f)">{SHAPE}</g>',
        "<style>.a,.b>rect:first-child{clip-path:url(#c)}</style>"
        '<clipPath id="c"><rect width="9" height="9"/></clipPath>' + SHAPE,
        '<path d="M0 0h9" marker-end="url(#m)"/><marker id="m"><path d="M0 0h9"/></marker>',
        embedded("gif", b"GIF89a\x07\x00\x05\x00\x00\x00\x00;"),
        link("http://example.org/logo.png"),
        html("<p>A <b>label</b></p>"),
        '<text>f(x) = "a"</text><title>a\\b (c)</title>',
        '<path d="M0 0L9 9" pathLength="100" stroke-dasharray="4 1"/>',
        "<style>@keyframes a{to{opacity:0;width:9px}}rect{width:50px;rx:.5em;stroke-dasharray:4}</style>"
        + SHAPE * 9,
        '<g transform="translate(9)">' + UNSCALED + "</g>",
        f'<path fill="none" d="M0 0{"".join(f"L{n / 100} {n % 9}" for n in range(60_000))}"/>',
        '<pattern id="p" width="72" height="72" patternUnits="userSpaceOnUse"><path d="M0 0h9"/></pattern>'
        + SHAPE.replace("/>", ' fill="url(#p)"/>') * 1_000,
        f"<text>{f'cafe{ACCENT} ' * 9_000}</text>",
        f"<style>b{{border:1px solid red;border-radius:9px}}</style>{html('<b/>' * 3_000)}",
        f"<style>text{{text-shadow:0 0 2px #fff}}</style>{'<text>a</text>' * 500}",
        f"<style>b{{box-shadow:0 0 3px rgba(0,0,0,.5),0 0 9px #0a0f30}}</style>{html('<b/>' * 300)}",
        f"<style>.a::before{{content:'→'}}</style>{html('a')}",
        '<filter id="f"><feGaussianBlur in="SourceAlpha" stdDeviation="2" result="b"/><feOffset dx="2"/>'
        '<feMerge><feMergeNode/><feMergeNode in="b"/><feMergeNode in="SourceGraphic"/></feMerge></filter>'
        + f'<g filter="url(#f)">{SHAPE}</g>'
        * 20,
        f'<filter id="f">{"<feOffset/>" * 30}</filter><g filter="url(#f)">{SHAPE}</g>',
        f'<marker id="m"><path d="M0 0h9"/></marker><g marker-end="url(#m)">{"<path d=" + chr(34) + "M0 0h9" + chr(34) + "/>" * 99}</g>',
        '<g aria-label="f(x) \\ y" data-note="url(x)"/>',
        '<path d="M0 0L600 400" stroke-dasharray="4 1" style="stroke-dasharray: none"/>',
    ],
)
def test_a_drawing_with_a_few_effects_is_shown(content):
    found = image(svg(content))
    assert found is not None
    assert found.fits, found.plain
