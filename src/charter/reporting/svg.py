"""Turn matplotlib drawings into inline SVG that takes its colours and fonts from the page.

Matplotlib writes ``style`` attributes, a global ``<style>`` and repeated ids. A strict CSP forbids the first, the page
must be spared the second, and a document with many figures the third. So each drawing uses marker colours, and on the
way out styles become presentation attributes, marker colours become CSS classes (``f-NAME`` fills, ``s-NAME``
strokes), and the ids that are referred to carry the figure's name.
"""

from __future__ import annotations

import io
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

_NAMES = ("ink", "muted", "grid", "paper", "blue", "vermilion", "grey", "purple", "green", "orange", "sky")
COLOUR = {name: f"#0000{number:02x}" for number, name in enumerate(_NAMES, start=1)}
_CLASS = {colour: name for name, colour in COLOUR.items()}

WIDTH = 4.8  # inches; 72 units each in the SVG's own coordinates, scaled by the page to its column
_UNITS_PER_INCH = 72
_XLINK = "{http://www.w3.org/1999/xlink}href"
_KEPT_TEXT = {"font-size", "font-weight", "text-anchor"}
_LONGEST_LABEL = 32


def draw(name: str, label: str, height: float, paint: Callable[[Any], None]) -> str:
    """Draw a figure and return it as an ``<svg>`` element that is the same, byte for byte, every time.

    Args:
        name: unique on the page; prefixes ids.
        label: what a screen reader says in the figure's place.
        height: in inches.
        paint: draws on an empty ``matplotlib.figure.Figure``.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", _style(name)]), warnings.catch_warnings():
        # The page's fonts draw the text; that matplotlib's own lacks a script's glyphs matters to nobody.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=(WIDTH, height))
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(name, label, buffer.getvalue())


def legible(text: str) -> str:
    """Prepare outside text for a figure: printable characters only, shortened."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return shown if len(shown) <= _LONGEST_LABEL else f"{shown[: _LONGEST_LABEL - 1]}\N{HORIZONTAL ELLIPSIS}"


def _style(name: str) -> dict[str, Any]:
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,  # a dollar sign in a name is a dollar sign
        "figure.constrained_layout.use": True,
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.facecolor": "none",
        "axes.edgecolor": COLOUR["muted"],
        "axes.labelcolor": COLOUR["ink"],
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.titlecolor": COLOUR["ink"],
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "grid.color": COLOUR["grid"],
        "grid.linewidth": 0.7,
        "text.color": COLOUR["ink"],
        "xtick.color": COLOUR["muted"],
        "ytick.color": COLOUR["muted"],
        "xtick.labelcolor": COLOUR["ink"],
        "ytick.labelcolor": COLOUR["ink"],
        "font.size": 10,
        "legend.frameon": False,
        "legend.handlelength": 1.2,
        "legend.columnspacing": 1.2,
        "errorbar.capsize": 3,
    }


def _inline(name: str, label: str, text: str) -> str:
    root = ET.fromstring(text)  # noqa: S314 - matplotlib's own output, a moment old
    width, height = (float(root.attrib[side].removesuffix("pt")) for side in ("width", "height"))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.tail = None
        if element.tag not in {"text", "tspan"}:
            element.text = None
    _drop_styles(root)
    _rename_ids(root, name)
    for element in root.iter():
        _style_to_attributes(element)
    root.attrib.clear()
    root.attrib.update(viewBox=f"0 0 {width:g} {height:g}", role="img", **{"class": "drawing", "aria-label": label})
    title = ET.Element("title")
    title.text = label
    root.insert(0, title)
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)


def _drop_styles(root: ET.Element) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == "style":
                parent.remove(child)


def _rename_ids(root: ET.Element, name: str) -> None:
    used = {element.attrib[_XLINK][1:] for element in root.iter() if _XLINK in element.attrib}
    used |= {element.attrib["clip-path"][5:-1] for element in root.iter() if "clip-path" in element.attrib}
    for element in root.iter():
        attributes = element.attrib
        if attributes.get("id") in used:
            attributes["id"] = f"{name}-{attributes['id']}"
        else:
            attributes.pop("id", None)
        if _XLINK in attributes:
            attributes["href"] = f"#{name}-{attributes.pop(_XLINK)[1:]}"
        if "clip-path" in attributes:
            attributes["clip-path"] = f"url(#{name}-{attributes['clip-path'][5:-1]})"


def _style_to_attributes(element: ET.Element) -> None:
    classes = []
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key in {"fill", "stroke"} and value in _CLASS:
            classes.append(f"{key[0]}-{_CLASS[value]}")
        elif key and (element.tag != "text" or key in _KEPT_TEXT):
            element.set(key, value)
    if classes:
        element.set("class", " ".join(classes))
