"""The boundary plot is well-formed, labelled, and honest about what lies outside of it."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

from hypothesis import given
from hypothesis import strategies as st

from staged_rollout.report.plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, LookPoint, boundary_plot

SVG = "{http://www.w3.org/2000/svg}"
LOOKS = (
    LookPoint(1, 0.07, -0.4, None, 3.9),
    LookPoint(7, 0.50, 1.42, 2.96, 2.7),
    LookPoint(8, 0.57, 2.90, 2.80, 2.6),
)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in fromstring(svg).iter(f"{SVG}text")]


def test_the_axes_say_what_they_measure() -> None:
    written = texts(boundary_plot(LOOKS, "churn-v3"))

    assert "information (% of the plan)" in written
    assert "z (standard errors, + is better)" in written
    assert [text for text in written if text.endswith("%")] == ["0%", "20%", "40%", "60%", "80%", "100%"]


def test_the_last_value_of_each_line_is_written_beside_it() -> None:
    written = texts(boundary_plot(LOOKS, "churn-v3"))

    assert {"win at 2.80", "harm at -2.60", "z 2.90"} <= set(written)


def test_labels_do_not_lie_on_one_another() -> None:
    close = (LookPoint(1, 0.5, 2.80, 2.81, None), LookPoint(2, 0.6, 2.70, 2.71, None))
    labels = [
        float(element.attrib["y"])
        for element in fromstring(boundary_plot(close, "x")).iter(f"{SVG}text")
        if (element.text or "").startswith(("win", "z 2"))
    ]

    assert len(labels) == 2
    assert abs(labels[0] - labels[1]) >= 14


def test_a_bound_far_outside_becomes_an_arrow_at_the_edge() -> None:
    early = (LookPoint(1, 1 / 14, 0.2, 8.30465, None),)
    root = fromstring(boundary_plot(early, "x"))

    assert [element.attrib["class"] for element in root.iter(f"{SVG}polygon")] == ["efficacy"]
    assert "win at 8.30" in texts(boundary_plot(early, "x"))


def test_a_heading_is_text_and_nothing_else() -> None:
    svg = boundary_plot(LOOKS, '</title><script>alert("x")</script>')

    assert list(fromstring(svg).iter(f"{SVG}script")) == []
    assert '</title><script>alert("x")</script>' in texts(svg)


FINITE = st.floats(-40, 40)
BOUND = st.none() | st.floats(0, 40)


def test_futility_is_a_line_of_its_own() -> None:
    given_up = (LookPoint(7, 0.5, 1.42, 2.96, 2.7, 0.27), LookPoint(8, 0.75, 0.9, 2.36, 2.6, 1.1))
    root = fromstring(boundary_plot(given_up, "x"))

    assert [path.attrib["class"] for path in root.iter(f"{SVG}path")].count("futility") == 1
    assert "give up at 1.10" in texts(boundary_plot(given_up, "x"))
    assert "give up" not in boundary_plot(LOOKS, "x")


@given(
    st.lists(
        st.builds(LookPoint, st.integers(1, 99), st.floats(0, 5), st.none() | FINITE, BOUND, BOUND, st.none() | FINITE),
        max_size=8,
    )
)
def test_every_mark_lies_inside_the_plot(points: list[LookPoint]) -> None:
    """Whatever the looks, the drawing is well-formed and each z is drawn where it is, inside the frame."""
    root = fromstring(boundary_plot(points, "any"))

    for circle in root.iter(f"{SVG}circle"):
        assert LEFT - 0.1 <= float(circle.attrib["cx"]) <= WIDTH - RIGHT + 0.1
        assert TOP - 0.1 <= float(circle.attrib["cy"]) <= HEIGHT - BOTTOM + 0.1
    drawn = [circle for circle in root.iter(f"{SVG}circle") if circle.attrib["class"] == "z"]
    assert len([point for point in points if point.z is not None]) == len(drawn)
