"""The page that annotators read: what it says, that it is safe, and that it stays small."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job.changes import Changes
from dataprep_job.check import CheckReport
from dataprep_job.defects import Defect, Place
from dataprep_job.exhibits import Exhibit, Flaw, PicturedImage
from dataprep_job.inspection import ImageBox
from dataprep_job.labels import Edges
from dataprep_job.report_page import report_page
from dataprep_job.report_page.figures import BOXES_DRAWN, exhibit
from dataprep_job.report_page.markup import text

Files = dict[str, bytes]
Check = Callable[..., CheckReport]
Xml = Callable[..., bytes]

VOID = {"meta", "img", "br", "image", "wbr"}


class Outline(HTMLParser):
    """Checks that elements are closed in order; keeps ids, links and what a reader would read."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.unnamed: list[str] = []
        self.words: list[str] = []
        self.glue = False
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag not in ("script", "iframe", "object", "link", "form")
        assert not [name for name in given if name.startswith("on")]
        self.glue = tag == "wbr"
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name == "href" and tag == "a" and value]
        if tag == "svg" and not given.get("aria-label"):
            self.unnamed.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.glue = False

    def handle_data(self, data: str) -> None:
        if self.glue:
            self.words[-1] += data
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def dirty(voc: Files, xml: Xml) -> Files:
    """A dataset with an error, a warning and a leak."""
    good = ("dog", 11, 21, 60, 70)
    voc["Annotations/a1.xml"] = xml([good, ("cat", 300, 11, 350, 40)])
    voc["Annotations/a2.xml"] = xml([good, ("cat", 91, 11, 110, 40)])
    voc["JPEGImages/a3.jpg"] = voc["JPEGImages/a0.jpg"]
    voc["JPEGImages/a4.jpg"] = b""
    return voc


def test_the_page_is_whole_and_every_link_leads_somewhere(voc: Files, xml: Xml, checked: Check) -> None:
    outline = Outline(report_page(checked(dirty(voc, xml)), "birds", "Run x"))
    assert len(set(outline.ids)) == len(outline.ids)
    assert outline.links
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)
    assert outline.unnamed == []


def test_the_page_escapes_everything(voc: Files, xml: Xml, checked: Check) -> None:
    evil = "&lt;script&gt;alert(1)&lt;/script&gt;"
    voc["Annotations/a1.xml"] = xml([(evil, 11, 21, 60, 70), (evil, 500, 500, 600, 600)])
    voc['Annotations/"a<b>.xml'] = xml([(evil, 91, 21, 110, 70)])
    voc['JPEGImages/"a<b>.jpg'] = voc["JPEGImages/a1.jpg"] + b"\0"
    voc["JPEGImages/<img src=x>.jpg"] = b"x"
    report = checked(voc)
    examples = {"added": ["<img src=x>"]}
    report = replace(report, changes=Changes(1, 0, 0, 0, 0, 0, examples), blocked=["<img src=x>"])
    page = report_page(report, '<b>"title"', "<i>subtitle", note="<u>note")
    Outline(page)
    for tag in ("<script", "<img", "<b>&quot;", "<i>subtitle", "<u>", "a<b>", "http://", "https://"):
        assert tag not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in page


@given(st.text(alphabet=st.characters(), max_size=40))
def test_any_text_can_be_shown(value: str) -> None:
    shown = text(value)
    shown.encode()
    assert not {*'<>"'} & {*shown}
    assert "\0" not in shown
    assert "\u202e" not in shown


def test_a_lone_surrogate_can_be_shown() -> None:
    assert text("a\udcffb") == "a?b"


def test_outcome_comes_first_in_words(voc: Files, xml: Xml, checked: Check) -> None:
    words = Outline(report_page(checked(dirty(voc, xml)), "birds", "Run x")).text
    verdict = "Training can start. Read 10 pictures with annotations in Pascal VOC. 8 of them are used."
    assert verdict in words
    assert "Mistakes cost 1 picture and 1 box" in words
    assert words.index(verdict) < words.index("To mend, the costliest first") < words.index("What was read")
    first = words[words.index("To mend, the costliest first") :]
    order = [first.index(title) for title in ("Picture is cut off", "Box outside the picture")]
    assert order == sorted(order)
    assert "once, costs a picture" in first
    assert "1 left out for mistakes" in words
    assert "1 copies of other pictures" in words


def test_a_blocked_dataset_says_why(voc: Files, checked: Check) -> None:
    voc["nestbox.yaml"] = b"classes: {ignore: [dog]}"
    words = Outline(report_page(checked(voc), "birds", "Run x")).text
    assert "Blocked" in words
    assert "Nothing can be trained yet." in words
    assert "No class is left" in words
    assert "Ready" not in words


def test_an_empty_dataset_has_a_page(checked: Check) -> None:
    words = Outline(report_page(checked({}), "birds", "Run x")).text
    assert "no annotations were recognised" in words
    assert "The dataset is empty" in words


def test_a_clean_dataset_says_so(voc: Files, checked: Check) -> None:
    outline = Outline(report_page(checked(voc), "birds", "Run x"))
    assert "Nothing is wrong." in outline.text
    assert "Nothing is wrong with this dataset" in outline.text
    assert "How to mend it" not in outline.text


def test_a_preliminary_page_says_so_and_promises_no_outcome(voc: Files, xml: Xml, checked: Check) -> None:
    report = replace(
        checked(dirty(voc, xml)), usable_images=0, boxes=0, classes={"cat": 0, "dog": 0}, box_shares=[0] * 8,
        picture_sizes=[], blocked=["The train split is empty"],
    )  # fmt: skip
    words = Outline(report_page(report, "birds", "Run x", note="Pictures are still being opened.")).text
    assert "This report is preliminary. Pictures are still being opened." in words
    assert "Not finished" in words
    for word in ("Ready", "Blocked", "Training can start", "Nothing can be trained", "of them are used"):
        assert word not in words
    assert "The train split is empty" not in words
    assert "Where the pictures went" not in words


def test_groups_say_how_to_mend_and_where(voc: Files, xml: Xml, checked: Check) -> None:
    page = report_page(checked(dirty(voc, xml)), "birds", "Run x")
    outline = Outline(page)
    assert {"box.outside", "box.clipped", "image.truncated", "image.duplicate-across-splits"} <= set(
        outline.ids
    )
    assert "How to mend it: Draw the box again inside the picture, or remove it." in outline.text
    assert "Annotations/a1.xml, line" in outline.text
    assert page.index('id="mend"') < page.index('id="copies"') < page.index('id="look"')
    assert (
        page.index('id="copies"') < page.index('id="image.duplicate-across-splits"') < page.index('id="look"')
    )
    assert 'class="flaw"' in page
    assert "data:image/jpeg;base64," in page


def test_a_mistake_made_everywhere_keeps_the_page_small(voc: Files, checked: Check) -> None:
    defects = [Defect("box.clipped", Place("a.xml", f"line {n}"), "x" * 300) for n in range(1000)]
    defects.append(Defect("box.clipped", Place(""), "4,000 more of these are not listed.", 4000))
    report = replace(checked(voc), defects=defects)
    page = report_page(report, "birds", "Run x")
    assert "5,000 warnings" in page
    assert "line 199<" in page
    assert "line 200<" not in page
    assert "and 4,800 more, listed in report.json" in page


def test_a_thousand_classes_keep_the_page_small(voc: Files, checked: Check) -> None:
    names = [f"class {number}" for number in range(1000)]
    by_split = {name: {"train": 30, "validation": 1} for name in names}
    report = replace(
        checked(voc),
        classes=dict.fromkeys(names, 31),
        class_splits=by_split,
        class_pictures=by_split,
        pictured=[],
    )
    page = report_page(report, "birds", "Run x")
    assert "and 900 rarer classes, see report.json" in page
    assert "class 500" not in page


def test_classes_are_shown_by_split_with_pictures(voc: Files, xml: Xml, checked: Check) -> None:
    voc["Annotations/a1.xml"] = xml([("dog", 11, 21, 60, 70), ("dog", 1, 1, 9, 9)])
    report = checked(voc)
    assert report.class_pictures == {"dog": {"train": 8, "validation": 2}}
    words = Outline(report_page(report, "birds", "Run x")).text
    assert "dog 11 10 9 in 8 2 in 2" in words
    assert "Fewer than 20 boxes to train on: dog." in words


@pytest.mark.parametrize(
    ("box", "is_tiny"), [(("dog", 11, 21, 13, 23), True), (("dog", 11, 21, 60, 70), False)]
)
def test_a_hint_where_most_boxes_are_tiny(
    box: tuple[str, int, int, int, int], is_tiny: bool, voc: Files, xml: Xml, checked: Check
) -> None:
    for number in range(10):
        voc[f"Annotations/a{number}.xml"] = xml([box])
    words = Outline(report_page(checked(voc), "birds", "Run x")).text
    assert ("100% of the boxes are tiny" in words) == is_tiny
    assert "100 \N{MULTIPLICATION SIGN} 80" in words


def test_what_changed_is_told_with_examples(voc: Files, checked: Check) -> None:
    changed = Changes(14, 0, 0, 1, 0, 5, {"added": [f"n{n}.jpg" for n in range(12)], "relabelled": ["r.jpg"]})
    words = Outline(report_page(replace(checked(voc), changes=changed), "birds", "Run x")).text
    assert "14 new" in words
    assert "n11.jpg and 2 more" in words
    assert "1 labelled anew" in words
    assert "gone" not in words
    assert "5 pictures stayed the same" in words


def pictured(*flaws: Flaw, boxes: int = 1) -> Exhibit:
    box = ImageBox(0, Edges(10, 20, 60, 70))
    one = PicturedImage("a.jpg", "train", 100, 80, (box,) * boxes, b"jpeg", "a.xml", flaws)
    defects = tuple(
        Defect("box.outside", Place("a.xml", "line 3"), "Outside.", edges=flaw.edges) for flaw in flaws
    )
    return Exhibit("box.outside", defects or (Defect("image.turned", Place("a.xml"), "Turned."),), (one,))


def view_box(drawn: str) -> list[float]:
    found = re.search(r'viewBox="([^"]+)"', drawn)
    assert found
    return [float(number) for number in found[1].split()]


def test_the_drawing_makes_room_for_a_box_that_sticks_out() -> None:
    drawn = exhibit(pictured(Flaw(Edges(-20, 10, 20, 85), 1)), ["dog"])
    assert view_box(drawn) == [-22, 0, 122, 87]
    assert "M-20.0 10.0H20.0V85.0H-20.0Z" in drawn
    assert "1 box marked in red" in drawn


@pytest.mark.parametrize(
    ("edges", "arrow"),
    [
        (Edges(5000, 10, 6000, 20), "1 →"),
        (Edges(-6000, 10, -5000, 20), "1 ←"),
        (Edges(10, 5000, 20, 6000), "1 ↓"),
        (Edges(10, -6000, 20, -5000), "1 ↑"),
    ],
)
def test_a_box_far_outside_does_not_shrink_the_picture_but_is_pointed_at(edges: Edges, arrow: str) -> None:
    drawn = exhibit(pictured(Flaw(edges, 1)), ["dog"])
    assert view_box(drawn)[2] + view_box(drawn)[3] == pytest.approx(100 + 80 + 30)
    assert f">{arrow}</text>" in drawn


def test_a_box_too_small_to_see_gets_a_ring() -> None:
    assert "<circle" in exhibit(pictured(Flaw(Edges(10, 10, 10, 10), 1)), ["dog"])
    assert "<circle" not in exhibit(pictured(Flaw(Edges(10, 10, 30, 30), 1)), ["dog"])


def test_thousands_of_boxes_are_not_all_drawn() -> None:
    drawn = exhibit(pictured(boxes=5000), ["dog"])
    assert drawn.count("<title>") == BOXES_DRAWN
    assert "dog &times; 5,000" in drawn
    assert f"the first {BOXES_DRAWN} boxes are drawn" in drawn


def test_a_picture_without_flaws_is_drawn_as_it_is() -> None:
    drawn = exhibit(pictured(), ["dog"])
    assert view_box(drawn) == [0, 0, 100, 80]
    assert "outside" not in drawn
