"""The page's colours can be read, in both themes."""

import re

import pytest

from tropism.label.pages import static_file


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`. Reference: WCAG 2.2, definition of relative luminance."""
    digits = colour.lstrip("#")
    full = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    parts = [int(full[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, 1 to 21."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def themes() -> dict[str, dict[str, str]]:
    """The colours of each theme by their names."""
    file = static_file("label.css")
    assert file is not None
    blocks = re.findall(r":root \{(.*?)\}", file.body.decode(), flags=re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#\w+);", block)) for block in blocks]
    return dict(zip(("light", "dark"), found, strict=True))


def test_black_on_white_is_twenty_one() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_a_contrast_of_four_and_a_half_and_controls_of_three(theme: str) -> None:
    colours = themes()[theme]
    grounds = [colours[name] for name in ("paper", "raised", "card", "accent-wash")]
    for text in ("ink", "muted", "accent"):
        for ground in grounds:
            assert contrast(colours[text], ground) >= 4.5, (text, ground)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert contrast(colours["warning"], colours["paper"]) >= 4.5
    for ground in (colours["paper"], colours["card"]):
        assert contrast(colours["strong-line"], ground) >= 3
