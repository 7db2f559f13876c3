"""Kinds of defects of YOLO, .lst and CSV."""

from __future__ import annotations

from dataprep_job.defect_kinds.kind import Row

ROWS: tuple[Row, ...] = (
    # Class lists
    (
        "class.without-name",
        "error",
        "Class id without a name",
        "Add the name to the class list that the message names; the first name belongs to class 0.",
    ),
    (
        "class.lists-differ",
        "error",
        "Class lists that contradict each other",
        "Remove or correct the wrong list: nobody knows which class these boxes are of.",
    ),
    # YOLO
    (
        "yolo.no-class-names",
        "error",
        "YOLO labels without class names",
        "Add the data.yaml of the export, or a classes.txt with a class name a line, beside the labels.",
    ),
    (
        "yolo.bad-yaml",
        "error",
        "data.yaml cannot be read",
        "Mend the YAML; 'names' is a list of class names, or class ids with their names.",
    ),
    (
        "yolo.class-count",
        "warning",
        "'nc' differs from the number of class names",
        "Nothing is lost; correct 'nc', or add the names that are missing.",
    ),
    (
        "yolo.path-not-found",
        "warning",
        "Path in data.yaml that the dataset lacks",
        "Upload what is missing, or correct the path; other pictures are split by the folders they lie in.",
    ),
    (
        "yolo.split-overlap",
        "warning",
        "The same pictures for training and judging",
        "Name different folders or lists; until then the folders' names decide, or a share is held out.",
    ),
    (
        "yolo.bad-line",
        "error",
        "Line is no YOLO box",
        "Write five numbers: class, centre x, centre y, width and height, as shares of the picture.",
    ),
    (
        "yolo.bad-class",
        "error",
        "Class id is no whole number",
        "Write the class id, counted from 0 in the order of 'names'.",
    ),
    (
        "yolo.not-relative",
        "error",
        "Pixels instead of shares",
        "Divide x and width by the picture's width, y and height by its height, or export as YOLO again.",
    ),
    ("yolo.negative-size", "error", "Box with a negative size", "Draw the box again, or export it again."),
    (
        "yolo.folder-mismatch",
        "warning",
        "Label file and picture in folders that do not match",
        "Nothing is lost; give pictures and labels the same folders, below 'images' and below 'labels'.",
    ),
    (
        "yolo.no-label-file",
        "warning",
        "Picture without a label file",
        "Nothing to do if nothing is on the picture; otherwise label it.",
    ),
    (
        "yolo.confidence",
        "warning",
        "Labels with a confidence",
        "Nothing is lost; check that these are labels of people, not predictions of a model.",
    ),
    (
        "yolo.decimal-comma",
        "warning",
        "Numbers with a decimal comma",
        "Nothing is lost; export with a decimal point, as other programs refuse commas.",
    ),
    (
        "yolo.class-by-name",
        "warning",
        "Class name instead of an id",
        "Nothing is lost; write class ids, as other programs refuse names.",
    ),
    # MXNet .lst
    (
        "lst.bad-row",
        "error",
        "Line of a .lst cannot be read",
        "Separate by tabs: index, 2, 5, then class, xmin, ymin, xmax, ymax of every box, and the path.",
    ),
    (
        "lst.bad-width",
        "error",
        "Numbers of a .lst do not make boxes",
        "Give every box as many numbers as the third column says; im2rec packs such lines without a word.",
    ),
    (
        "lst.not-relative",
        "error",
        "Pixels instead of shares in a .lst",
        "Divide by the picture's size; otherwise SageMaker stops with 'Not enough annotation packed'.",
    ),
    (
        "lst.bad-class",
        "error",
        "Class of a .lst is no whole number",
        "Write the class id, counted from 0.",
    ),
    (
        "lst.classification",
        "error",
        "List of classes instead of boxes",
        "Upload a list for object detection: classes alone do not say where the objects are.",
    ),
    (
        "lst.duplicate-index",
        "warning",
        "Index of a .lst used twice",
        "Nothing is lost; number the lines anew, as im2rec's index keeps only one of them.",
    ),
    (
        "lst.no-class-names",
        "warning",
        "List without class names",
        "Add a classes.txt with a name a line, or rename 'class 0' in nestbox.yaml ('classes: rename:').",
    ),
    # CSV
    (
        "csv.bad-row",
        "error",
        "Row of a CSV file cannot be read",
        "Mend the row: as many columns as the header, with a picture, a class and a box.",
    ),
    (
        "csv.missing-column",
        "error",
        "CSV file lacks a column",
        "Export with the columns filename, class, xmin, ymin, xmax and ymax.",
    ),
    (
        "csv.not-relative",
        "error",
        "Pixels among shares in a CSV file",
        "Write all corners of a file as shares of the picture, or all in pixels.",
    ),
    (
        "csv.size-differs",
        "warning",
        "Rows disagree on a picture's size",
        "Nothing is lost, but a wrong picture would go unnoticed; correct width and height.",
    ),
    (
        "csv.group-of",
        "warning",
        "Boxes around groups left out",
        "Nothing to do, or box the objects of the group one by one.",
    ),
    (
        "csv.unknown-split",
        "warning",
        "Unknown name of a split",
        "Write TRAIN, VALIDATION or TEST; until then the picture is split like those without a split.",
    ),
    (
        "csv.no-class-descriptions",
        "warning",
        "Classes called by Google's ids",
        "Add Open Images' class-descriptions CSV file (id, name), or rename the classes in nestbox.yaml.",
    ),
)
