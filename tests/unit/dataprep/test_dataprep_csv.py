"""The CSV reader: Open Images, TensorFlow's tables, RetinaNet and AutoML, and every kind of dirt."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataprep_job.labels import Edges
from dataprep_job.readers.csv_files import CsvReader
from dataprep_job.readers.csv_layouts import layout_of
from dataprep_job.readers.csv_rows import csv_rows

Files = dict[str, bytes]
Find = Callable[..., Any]

PICTURE = b"a picture; readers never open it"
TFOD = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
EDGES = Edges(10, 20, 60, 70)
OPEN_IMAGES = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
)
SHARES = Edges(0.125, 0.25, 0.5, 0.75)


def dataset(text: str | bytes, path: str = "labels.csv", **more: bytes) -> Files:
    return {
        path: text.encode() if isinstance(text, str) else text,
        **{f"{name}.jpg": PICTURE for name in "abc"},
        **more,
    }


def boxes(seen: Any) -> dict[str, list[tuple[str, Edges]]]:
    return {image.image: [(box.name, box.edges) for box in image.boxes] for image in seen.images}


def told(seen: Any) -> list[tuple[str, str, str | None]]:
    return [(defect.code, defect.place.file, defect.place.where) for defect in seen.defects]


@pytest.fixture
def find(found: type) -> Find:
    return lambda files: found(CsvReader(), files)


# Tables with a header


def test_clean_table(find: Find) -> None:
    text = (
        TFOD
        + "a.jpg,100,80,cat,10,20,60,70\nb.jpg,100,80,dog,1,2,3,4\n"
        + "a.jpg,100,80,dog,0.5,1.5,9,8\nc.jpg,90,80,,,,,\n"
    )
    seen = find(dataset(text))
    assert (seen.defects, seen.lost, seen.formats) == ([], [], ["csv"])
    assert boxes(seen) == {
        "a.jpg": [("cat", EDGES), ("dog", Edges(0.5, 1.5, 9, 8))],
        "b.jpg": [("dog", Edges(1, 2, 3, 4))],
        "c.jpg": [],
    }
    image = seen.images[0]
    assert (image.is_relative, image.declared_size, image.split, image.format) == (
        False,
        (100, 80),
        None,
        "csv",
    )
    assert str(image.place) == "labels.csv, line 2"
    assert [str(box.place) for box in image.boxes] == ["labels.csv, line 2", "labels.csv, line 4"]
    assert seen.unclaimed("csv") == []


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("class,ymax,xmax,ymin,xmin,filename", "cat,70,60,20,10,a.jpg"),
        ("Image Path,Label,X_Min,Y_Min,X_Max,Y_Max", "photos/a.jpg,cat,10,20,60,70"),
        ("image_id,x1,y1,x2,y2,class_name", "a,10,20,60,70,cat"),
        ("image;label;left;top;right;bottom", "a.jpg;cat;10;20;60;70"),
        ("file\tname\tx0\ty0\tx1\ty1", "a.jpg\tcat\t10\t20\t60\t70"),
        ("file\tscore\tx0\ty0\tx1\ty1\tname", "a.jpg\t\t10\t20\t60\t70\tcat"),
        ("img,bbox_x1,bbox_y1,bbox_x2,bbox_y2,category", "a.jpg,10,20,60,70,cat"),
        ("name,class,xmin,ymin,xmax,ymax", "a.jpg,cat,10,20,60,70"),
        ("filename,class,x,y,w,h", "a.jpg,cat,10,20,50,50"),
        ("filename,class,x,y,width,height", "a.jpg,cat,10,20,50,50"),
        ("label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name", "cat,10,20,50,50,a.jpg"),
        ('"filename","class","xmin","ymin","xmax","ymax"', '"a.jpg", "cat" , "10","20","60","70"'),
        ("sep=;\nfilename;class;xmin;ymin;xmax;ymax", "a.jpg;cat;10,0;20,0;60,0;70,0"),
        ("\ufefffilename,class,xmin,ymin,xmax,ymax\r", "a.jpg,cat,10,20,60,70\r"),
    ],
)  # fmt: skip
def test_columns_go_by_many_names(find: Find, header: str, row: str) -> None:
    seen = find(dataset(f"{header}\n{row}\n"))
    assert seen.defects == []
    assert boxes(seen) == {"a.jpg": [("cat", EDGES)]}


def test_utf16(find: Find) -> None:
    seen = find(dataset((TFOD + "a.jpg,100,80,cät,10,20,60,70\n").encode("utf-16")))
    assert seen.defects == []
    assert boxes(seen) == {"a.jpg": [("cät", EDGES)]}


def test_shares_in_a_table_are_found_out_for_the_whole_file(find: Find) -> None:
    header = "filename,class,xmin,ymin,xmax,ymax\n"
    text = header + "a.jpg,cat,0,0,1,1\nb.jpg,cat,0.125,0.25,0.5,0.75\n"
    seen = find(dataset(text))
    assert seen.defects == []
    assert all(image.is_relative for image in seen.images)
    assert boxes(seen)["b.jpg"] == [("cat", SHARES)]
    seen = find(dataset(text + "c.jpg,cat,10,20,30,40\nb.jpg,dog,10,20,30,40\na.jpg,cat,.1,.1,.2,.2\n"))
    assert told(seen) == [
        ("csv.not-relative", "labels.csv", "line 5"),
        ("csv.not-relative", "labels.csv", "line 4"),
    ]
    assert seen.lost == ["c.jpg"]
    assert boxes(seen)["b.jpg"] == [("cat", SHARES)]


def test_small_box_in_a_file_of_pixels_stays_in_pixels(find: Find) -> None:
    seen = find(dataset(TFOD + "a.jpg,9,9,cat,0,0,1,1\nb.jpg,9,9,cat,0,0,5,5\nb.jpg,9,9,cat,0,0,5,6\n"))
    assert seen.defects == []
    assert not any(image.is_relative for image in seen.images)


def test_shares_with_the_size_become_pixels(find: Find) -> None:
    (image,) = find(dataset(TFOD + "a.jpg,200,100,cat,0.125,0.25,0.5,0.75\n")).images
    assert (image.is_relative, image.declared_size) == (False, (200, 100))
    assert image.boxes[0].edges == Edges(25, 25, 100, 75)


def test_size_that_is_missing_or_differs(find: Find) -> None:
    seen = find(dataset(TFOD + "a.jpg,,,cat,10,20,60,70\nb.jpg,0,0,cat,10,20,60,70\n"))
    assert seen.defects == []
    assert [image.declared_size for image in seen.images] == [None, None]
    seen = find(dataset(TFOD + "a.jpg,9,9,cat,1,2,3,4\na.jpg,8,8,cat,5,6,7,8\n"))
    assert told(seen) == [("csv.size-differs", "labels.csv", "line 3")]
    assert seen.images[0].declared_size is None


@pytest.mark.parametrize("row", ["b.jpg", "b.jpg,100,80,,,,,", "b.jpg,100,80,,0,0,0,0", "b.jpg,,,,,,"])
def test_background(find: Find, row: str) -> None:
    seen = find(dataset(TFOD + f"a.jpg,100,80,cat,10,20,60,70\n{row}\n"))
    assert seen.defects == []
    assert boxes(seen)["b.jpg"] == []


@pytest.mark.parametrize(
    ("row", "code", "lost"),
    [
        ("b.jpg,100,80,cat,10,20,60", "box.not-a-number", "b.jpg"),
        ("b.jpg,100,80,cat,10,20,60,x", "box.not-a-number", "b.jpg"),
        ("b.jpg,100,80,cat,10,20,nan,70", "box.not-a-number", "b.jpg"),
        ("b.jpg,100,80,cat,10,20,1e999,70", "box.not-a-number", "b.jpg"),
        ('b.jpg,100,80,cat,10,20,"1,024",70', "box.not-a-number", "b.jpg"),
        ("b.jpg,100,80,cat,10,20,60,70,80", "csv.bad-row", "b.jpg"),
        ("b.jpg,100,80,cat,0,35,0,40,0,50,0,60", "csv.bad-row", "b.jpg"),
        ("b.jpg,100,80,,10,20,60,70", "csv.bad-row", "b.jpg"),
        ("b.jpg,100,80,cat,,,,", "csv.bad-row", "b.jpg"),
        ("b.jpg,100,80,cat", "csv.bad-row", "b.jpg"),
        (",100,80,cat,10,20,60,70", "csv.bad-row", None),
        ('"b.jpg,100,80,cat,10,20,60,70', "csv.bad-row", None),
        ('"b"x.jpg,100,80,cat,10,20,60,70', "csv.bad-row", None),
        (f"{'x' * 140_000},100,80,cat,10,20,60,70", "csv.bad-row", None),
        ("gone.jpg,100,80,cat,10,20,60,70", "image.missing", None),
        ("../../etc/passwd,100,80,cat,10,20,60,70", "image.missing", None),
    ],
)
def test_bad_row_costs_only_itself(find: Find, row: str, code: str, lost: str | None) -> None:
    good = "a.jpg,100,80,cat,10,20,60,70\n"
    seen = find(dataset(TFOD + good + row + "\n" + good.replace("a", "c", 1) + good.replace("a", "c", 1)))
    assert told(seen) == [(code, "labels.csv", "line 3")]
    assert seen.lost == [lost]
    assert boxes(seen) == {"a.jpg": [("cat", EDGES)], "c.jpg": [("cat", EDGES)] * 2}


def test_bad_row_leaves_the_other_boxes_of_its_picture(find: Find) -> None:
    text = TFOD + "a.jpg,100,80,cat,10,20,60,70\nb.jpg,9,9,cat,1,2,3,4\na.jpg,100,80,dog,1,2,x,4\n"
    seen = find(dataset(text))
    assert told(seen) == [("box.not-a-number", "labels.csv", "line 4")]
    assert boxes(seen)["a.jpg"] == [("cat", EDGES)]
    assert seen.lost == []


def test_line_that_is_not_utf8(find: Find) -> None:
    seen = find(dataset(TFOD.encode() + b"b.jpg,100,80,\xff,1,2,3,4\na.jpg,100,80,cat,10,20,60,70\n"))
    assert told(seen) == [("text.not-utf8", "labels.csv", "line 2")]
    assert boxes(seen) == {"a.jpg": [("cat", EDGES)]}


def test_line_numbers_count_line_breaks_in_quotes_and_blank_lines(find: Find) -> None:
    text = (
        "filename,class,note,xmin,ymin,xmax,ymax\n"
        'a.jpg,cat,"two\n\nlines, ""quoted""",10,20,60,70\n\n \nb.jpg,dog,,1,2,3,4\n'
    )
    seen = find(dataset(text))
    assert seen.defects == []
    assert [str(image.place) for image in seen.images] == ["labels.csv, line 2", "labels.csv, line 7"]


def test_header_repeated_where_files_were_joined(find: Find) -> None:
    row = "a.jpg,100,80,cat,10,20,60,70\n"
    seen = find(dataset(TFOD + row + TFOD + row.replace("a", "b", 1)))
    assert seen.defects == []
    assert len(seen.images) == 2


@pytest.mark.parametrize(
    ("header", "row", "missing", "lost"),
    [
        ("filename,class,xmin,ymin,xmax", "a.jpg,cat,1,2,3", "ymax", "a.jpg"),
        ("filename,xmin,ymin,xmax,ymax", "a.jpg,1,2,3,4", "class", "a.jpg"),
        ("class,xmin,ymin,xmax,ymax", "cat,1,2,3,4", "filename", None),
    ],
)
def test_missing_column(find: Find, header: str, row: str, missing: str, lost: str | None) -> None:
    seen = find(dataset(f"{header}\n{row}\n{row}\n"))
    assert told(seen) == [("csv.missing-column", "labels.csv", "line 1")]
    assert missing in seen.defects[0].message
    assert seen.lost == [lost]
    assert seen.images == []


def test_two_spellings_of_one_picture_are_one_record(find: Find) -> None:
    header = "filename,class,xmin,ymin,xmax,ymax\n"
    seen = find(dataset(header + "./a.jpg,cat,10,20,60,70\nb.jpg,cat,1,2,3,4\n/data/a.jpg,dog,10,20,60,70\n"))
    assert seen.defects == []
    assert boxes(seen)["a.jpg"] == [("cat", EDGES), ("dog", EDGES)]


def test_missing_picture_is_told_once(find: Find) -> None:
    seen = find(dataset(TFOD + "gone.jpg,100,80,cat,10,20,60,70\n" * 5))
    assert told(seen) == [("image.missing", "labels.csv", "line 2")]
    assert seen.lost == [None]


# Splits


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train_labels.csv", "train"),
        ("valid/_annotations.csv", "validation"),
        ("test.csv", "test"),
        ("labels.csv", None),
    ],
)
def test_split_by_file_or_folder(find: Find, path: str, split: str | None) -> None:
    seen = find(dataset(TFOD + "a.jpg,100,80,cat,10,20,60,70\n", path))
    assert [image.split for image in seen.images] == [split]


def test_split_of_the_picture_s_folder(find: Find) -> None:
    seen = find({"labels.csv": (TFOD + "val/a.jpg,,,cat,1,2,3,4\n").encode(), "val/a.jpg": PICTURE})
    assert [image.split for image in seen.images] == ["validation"]


def test_split_tells_pictures_of_one_name_apart(find: Find) -> None:
    row = (TFOD + "a.jpg,100,80,cat,10,20,60,70\n").encode()
    pictures = {"train/a.jpg": PICTURE, "test/a.jpg": PICTURE}
    assert list(boxes(find({"csv/test_labels.csv": row, **pictures}))) == ["test/a.jpg"]
    assert told(find({"csv/labels.csv": row, **pictures})) == [
        ("image.ambiguous", "csv/labels.csv", "line 2")
    ]


def test_split_column(find: Find) -> None:
    text = (
        "filename,class,xmin,ymin,xmax,ymax,set\n"
        "a.jpg,cat,1,2,3,4,Valid\nb.jpg,cat,1,2,3,4,fold 3\nc.jpg,cat,1,2,3,4,\n"
    )
    seen = find(dataset(text, "train.csv"))
    assert told(seen) == [("csv.unknown-split", "train.csv", "line 3")]
    assert [image.split for image in seen.images] == ["validation", "train", "train"]


# Without a header


def test_retinanet(find: Find) -> None:
    text = "photos/a.jpg,10,20,60,70,cat\n\nb.jpg,,,,,\nphotos/a.jpg,1,2,3,4,dog\nc.jpg,10,20,x,70,cat\n"
    seen = find(dataset(text, **{"classes.csv": b"dog,0\ncat,1\n"}))
    assert told(seen) == [("box.not-a-number", "labels.csv", "line 5")]
    assert boxes(seen) == {"a.jpg": [("cat", EDGES), ("dog", Edges(1, 2, 3, 4))], "b.jpg": []}
    assert seen.lost == ["c.jpg"]
    assert seen.class_order == ["dog", "cat"]
    assert seen.unclaimed("csv") == []


def test_automl(find: Find) -> None:
    text = (
        "TRAIN,gs://bucket/x/a.jpg,cat,0.125,0.25,,,0.5,0.75,,\n"
        "VALIDATION,gs://bucket/x/b.jpg,cat,0.125,0.25,0.5,0.25,0.5,0.75,0.125,0.75\n"
        "TEST,gs://bucket/x/c.jpg,,,,,,,,,\n"
        "UNASSIGNED,gs://bucket/x/d.jpg,cat,0.125,0.25,,,0.5,0.75,,\n"
        "TRAIN,gs://bucket/x/d.jpg,dog,12,25,,,50,75,,\n"
        "TRAIN,gs://bucket/x/d.jpg,dog,0.5,0.5,,,,,,\n"
    )
    seen = find(dataset(text, **{"d.jpg": PICTURE}))
    assert told(seen) == [
        ("csv.not-relative", "labels.csv", "line 5"),
        ("box.not-a-number", "labels.csv", "line 6"),
    ]
    assert boxes(seen) == {name: [("cat", SHARES)] for name in ("a.jpg", "b.jpg", "d.jpg")} | {"c.jpg": []}
    splits = {image.image: image.split for image in seen.images}
    assert splits == {"a.jpg": "train", "b.jpg": "validation", "c.jpg": "test", "d.jpg": "train"}
    assert all(image.is_relative for image in seen.images)


def test_automl_without_sets(find: Find) -> None:
    seen = find(dataset("gs://b/a.jpg,cat,0.125,0.25,,,0.5,0.75,,\n"))
    assert seen.defects == []
    assert boxes(seen) == {"a.jpg": [("cat", SHARES)]}


def test_picture_in_two_sets_is_held_out(find: Find) -> None:
    row = "gs://b/a.jpg,cat,0.125,0.25,,,0.5,0.75,,\n"
    seen = find(dataset(f"TRAIN,{row}TEST,{row}"))
    assert told(seen) == [("split.conflict", "labels.csv", "line 1")]
    assert seen.images[0].split == "test"


# Open Images


def test_open_images(find: Find) -> None:
    text = (
        OPEN_IMAGES
        + "a,xclick,/m/01yrx,1,0.125,0.5,0.25,0.75,0,0,0,0,0\n"
        + 'b.jpg,xclick,/m/0bt9lr,,"0,125","0,5","0,25","0,75",0,0,0,0,0\n'
        + "a,xclick,/m/0bt9lr,1,0.125,0.5,0.25,0.75,0,0,1,0,0\n"
        + "c,xclick,/m/01yrx,1,0.125,50,0.25,0.75,-1,-1,-1,-1,-1\n"
    )
    names = b"/m/01yrx,Cat\n/m/0bt9lr,Dog\n"
    seen = find(dataset(text, "train-annotations-bbox.csv", **{"class-descriptions-boxable.csv": names}))
    assert told(seen) == [
        ("csv.not-relative", "train-annotations-bbox.csv", "line 5"),
        ("csv.group-of", "train-annotations-bbox.csv", "line 4"),
    ]
    assert seen.formats == ["openimages"]
    assert boxes(seen) == {"a.jpg": [("Cat", SHARES)], "b.jpg": [("Dog", SHARES)]}
    assert seen.lost == ["c.jpg"]
    assert all(image.is_relative and image.split == "train" for image in seen.images)
    assert seen.class_order == ["Cat", "Dog"]
    assert seen.unclaimed("csv") == []


def test_class_descriptions_with_a_header(find: Find) -> None:
    row = "a,x,/m/01yrx,1,0.125,0.5,0.25,0.75,0,0,0,0,0\n"
    names = b'LabelName,DisplayName\n/m/01yrx,"Cat, domestic"\n/m/0x\n'
    seen = find(dataset(OPEN_IMAGES + row, **{"classes.csv": names}))
    assert boxes(seen)["a.jpg"] == [("/m/01yrx", SHARES)]
    assert seen.unclaimed("csv") == ["classes.csv"]
    seen = find(
        dataset(OPEN_IMAGES + row, **{"oidv7-class-descriptions.csv": names.replace(b"/m/0x\n", b"")})
    )
    assert seen.defects == []
    assert boxes(seen)["a.jpg"] == [("Cat, domestic", SHARES)]


def test_open_images_without_class_descriptions(find: Find) -> None:
    row = "{},x,{},1,0.125,0.5,0.25,0.75,0,0,0,0,0\n"
    seen = find(dataset(OPEN_IMAGES + row.format("a", "/m/01yrx") + row.format("b", "bird")))
    assert told(seen) == [("csv.no-class-descriptions", "labels.csv", "line 2")]
    assert boxes(seen) == {"a.jpg": [("/m/01yrx", SHARES)], "b.jpg": [("bird", SHARES)]}


def test_picture_with_groups_only_has_no_boxes(find: Find) -> None:
    seen = find(dataset(OPEN_IMAGES + "a,x,bird,1,0.125,0.5,0.25,0.75,0,0,1,0,0\n"))
    assert told(seen) == [("csv.group-of", "labels.csv", "line 2")]
    assert boxes(seen) == {"a.jpg": []}


def test_order_of_open_images_columns_is_not_relied_on(find: Find) -> None:
    seen = find(dataset("YMax,YMin,XMax,XMin,LabelName,ImageID\n0.75,0.25,0.5,0.125,bird,a\n"))
    assert seen.defects == []
    assert boxes(seen) == {"a.jpg": [("bird", SHARES)]}


# Other files


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n",
        b"\xff\xfe\xfd\xfc",
        b"filename,width,height\na.jpg,100,80\n",
        b"filename,label\na.jpg,cat\n",
        b"TRAIN,gs://b/a.jpg,cat\n",
        b"ImageID,Source,LabelName,Confidence\na,verification,/m/01yrx,1\n",
        b"ImageID,Subset,OriginalURL,License\na,train,https://x,cc\n",
        b"id,name,x,y,width,height\n1,button,0,0,10,10\n",
        b"lap,left,top,right,bottom\n1,2,3,4,5\n",
        b"1,2,3,4,5,6\n",
        b"a.jpg,10,20\n",
        b"cat,0\ndog,1\n",
        b'"never closed\n\n\n',
        b"filename,file_size,file_attributes,region_count,region_id,region_shape_attributes\n",
    ],
)
def test_other_tables_are_left_alone(find: Find, text: bytes) -> None:
    seen = find(dataset(text))
    assert (seen.defects, seen.formats, seen.images, seen.lost) == ([], [], [], [])
    assert seen.unclaimed("csv") == ["labels.csv"]


# Laws


@given(st.lists(st.lists(st.text('ab,;"\n 0.5', max_size=6), min_size=1, max_size=4), max_size=6))
def test_rows_come_back_as_the_csv_module_wrote_them(rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    lines = enumerate(text.getvalue().split("\n"), 1)
    found = [row.fields for row in csv_rows(lines, ",")]
    assert found == [[field.strip() for field in row] for row in rows]


@given(st.lists(st.text(max_size=40), max_size=8))
def test_any_text_is_a_layout_or_none(lines: list[str]) -> None:
    numbered = list(enumerate(lines, 1))
    layout = layout_of(numbered)
    assert layout is None or layout.separator in ",;\t"
    for separator in ",;\t":
        assert len(list(csv_rows(numbered, separator))) <= len(lines)
