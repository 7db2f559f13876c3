"""Kinds of defects that do not belong to one annotation format: files, nestbox.yaml, pictures, boxes, splits.

The rows of Caltech-UCSD Birds and Pascal VOC, the first two formats, are here as well.
"""

from __future__ import annotations

from dataprep_job.defect_kinds.kind import Row

ROWS: tuple[Row, ...] = (
    # Files
    (
        "file.gone",
        "error",
        "File vanished",
        "Upload the file again; it was deleted while the dataset was read.",
    ),
    (
        "file.too-large",
        "error",
        "File too large",
        "Split or shrink the file to less than the limit in the message.",
    ),
    (
        "file.not-understood",
        "warning",
        "Files no reader understands",
        "Remove the files, or export them as COCO, Pascal VOC, YOLO or another format that is read.",
    ),
    (
        "path.outside",
        "error",
        "Path leaves the dataset",
        "Name files inside the dataset only: no '..', no absolute paths, no links to elsewhere.",
    ),
    ("text.not-utf8", "error", "Text is not UTF-8", "Save the file as UTF-8."),
    (
        "xml.dtd",
        "error",
        "XML with a DTD or entities",
        "Remove the DOCTYPE and entity declarations; annotation tools do not write them.",
    ),
    # nestbox.yaml
    (
        "config.unreadable",
        "error",
        "nestbox.yaml cannot be read",
        "Mend the YAML; until then the defaults hold.",
    ),
    (
        "config.unknown-key",
        "error",
        "Unknown key in nestbox.yaml",
        "Correct the key's spelling or remove it.",
    ),
    (
        "config.bad-value",
        "error",
        "Bad value in nestbox.yaml",
        "Give the key a value of the kind the message names.",
    ),
    (
        "config.unknown-class",
        "warning",
        "nestbox.yaml names a class the data lacks",
        "Correct the class name under 'classes', or remove the entry.",
    ),
    # CUB-200-2011
    (
        "cub.bad-line",
        "error",
        "Line cannot be parsed",
        "Mend the line: fields are separated by one space, numbers use a decimal point.",
    ),
    (
        "cub.file-missing",
        "error",
        "A file of the CUB layout is missing",
        "Upload the missing file beside images.txt.",
    ),
    (
        "cub.orphan-id",
        "warning",
        "Ids that images.txt does not list",
        "Nothing is lost if the dataset is a subset; otherwise add the pictures to images.txt.",
    ),
    (
        "cub.duplicate-id",
        "error",
        "Image id used twice",
        "Give every picture in images.txt an id of its own, and its lines in the other files that id.",
    ),
    (
        "cub.duplicate-class",
        "error",
        "Class id with two names",
        "Give every class in classes.txt an id of its own, and its lines in image_class_labels.txt that id.",
    ),
    (
        "cub.class-without-name",
        "error",
        "Class id without a name",
        "Add the class id and its name to classes.txt.",
    ),
    (
        "cub.label-count",
        "error",
        "Boxes and class labels do not pair up",
        "Give the picture one class label for all its boxes, or one per box in the same order.",
    ),
    # Pascal VOC
    ("voc.bad-xml", "error", "Annotation file is damaged", "Export the file again from the annotation tool."),
    (
        "voc.filename-mismatch",
        "warning",
        "<filename> names another picture",
        "The picture of the same name as the annotation file was used; correct <filename> if that is wrong.",
    ),
    (
        "voc.filename-without-extension",
        "warning",
        "<filename> without its extension",
        "Nothing is lost; write the picture's full name into <filename>.",
    ),
    (
        "voc.size-missing",
        "warning",
        "Annotation does not say the picture's size",
        "Nothing is lost, but a wrong picture would go unnoticed; export with <size>.",
    ),
    (
        "voc.bad-object",
        "error",
        "<object> cannot be used",
        "Give the object a <name> and a complete <bndbox>.",
    ),
    # Pictures
    (
        "image.missing",
        "error",
        "Annotated picture is missing",
        "Upload the picture, or remove its annotation.",
    ),
    (
        "image.ambiguous",
        "error",
        "Annotation fits more than one picture",
        "Write the picture's path in the dataset into the annotation, or give every picture its own name.",
    ),
    (
        "image.spelled-differently",
        "warning",
        "Picture's name spelled differently",
        "Nothing is lost; write the name in both places with the same letters, case and extension.",
    ),
    (
        "image.other-folder",
        "warning",
        "Picture found in another folder",
        "Nothing is lost if the folder was renamed; otherwise upload the folder that the annotation names.",
    ),
    (
        "image.unlabelled",
        "warning",
        "Pictures without annotation",
        "Label the pictures, or leave them: they are not trained on.",
    ),
    (
        "image.background",
        "warning",
        "Annotated as holding nothing",
        "Nothing to do: the detector cannot train on pictures without boxes, so they are left out.",
    ),
    ("image.unreadable", "error", "Picture cannot be read", "Upload the picture again, or remove it."),
    (
        "image.truncated",
        "error",
        "Picture is cut off",
        "Upload the picture again; part of the file is missing.",
    ),
    ("image.too-large", "error", "Picture has too many pixels", "Scale the picture down and label it again."),
    ("image.unsupported", "error", "Picture format not supported", "Convert the picture to JPEG or PNG."),
    (
        "image.size-mismatch",
        "error",
        "Picture is not the one that was labelled",
        "Upload the picture in the size it was labelled in, or label it again.",
    ),
    (
        "image.turned",
        "warning",
        "Labelled without the camera's rotation",
        "Nothing is lost: the boxes were turned with the picture.",
    ),
    (
        "image.turn-unknown",
        "warning",
        "Turned by the camera, perhaps not when labelled",
        "Look at a few: if boxes are off, the tool ignored the rotation; label turned files instead.",
    ),
    ("image.duplicate", "warning", "The same picture twice", "Remove one of the two; only one is used."),
    (
        "image.duplicate-across-splits",
        "error",
        "The same picture in two splits",
        "Remove it from one split; the held-out one is kept, so that nothing held out is trained on.",
    ),
    (
        "image.copies-across-splits",
        "warning",
        "Copies of one photo in two splits",
        "Keep all augmented copies of a photo in one split, otherwise the score flatters.",
    ),
    (
        "image.no-usable-box",
        "error",
        "No usable box left on a picture",
        "Mend the boxes of this picture (see its other defects).",
    ),
    # Labels and boxes
    (
        "labels.missing",
        "error",
        "Listed picture without labels",
        "Add the picture's box and class, or remove it from the list.",
    ),
    (
        "labels.conflict",
        "error",
        "One picture labelled twice, differently",
        "Keep the right annotation and remove the other one.",
    ),
    (
        "labels.repeated",
        "warning",
        "One picture labelled twice, alike",
        "Nothing is lost; remove one of the two annotations.",
    ),
    (
        "labels.partly-empty",
        "warning",
        "One annotation has boxes, another one none",
        "The boxes are used; remove the annotation without boxes, or the boxes if they are wrong.",
    ),
    ("box.not-a-number", "error", "Box with unusable numbers", "Draw the box again."),
    ("box.zero-area", "error", "Box without area", "Draw the box again, or remove it."),
    (
        "box.reversed",
        "warning",
        "Box with its corners swapped",
        "Nothing is lost: the corners were put in order.",
    ),
    (
        "box.outside",
        "error",
        "Box outside the picture",
        "Draw the box again inside the picture, or remove it.",
    ),
    (
        "box.clipped",
        "warning",
        "Box sticks out of the picture",
        "The part outside was cut off; check the box.",
    ),
    ("box.too-small", "error", "Box thinner than a pixel", "Draw the box again, or remove it."),
    ("box.duplicate", "warning", "The same box twice", "Remove one of the two boxes; only one is used."),
    (
        "shape.hull",
        "warning",
        "Outline used as a box",
        "Nothing to do, unless the box around a turned or slanted shape is too loose: then draw a box.",
    ),
    (
        "shape.skipped",
        "warning",
        "Shape that is no box",
        "Draw a box around the object if the detector is to learn it; the shape itself is left out.",
    ),
    # Classes
    (
        "class.bad-name",
        "error",
        "Class name cannot be used",
        "Name the class with 1 to 100 printable characters.",
    ),
    (
        "class.similar-names",
        "warning",
        "Class names that look alike",
        "If they mean the same, join them under 'classes: rename:' in nestbox.yaml.",
    ),
    (
        "class.not-in-train",
        "warning",
        "Class without training boxes",
        "Label pictures of the class in the train split; the detector cannot learn it.",
    ),
    (
        "class.not-in-validation",
        "warning",
        "Class without held-out boxes",
        "Add held-out pictures of the class; until then nobody knows how well it is found.",
    ),
    # Splits
    (
        "split.conflict",
        "error",
        "One picture in two splits",
        "Name the picture in one split only; it is held out until then.",
    ),
    (
        "split.unknown-image",
        "warning",
        "Split names pictures that are not annotated",
        "Nothing is lost if the dataset is a subset; otherwise upload the annotations.",
    ),
    (
        "split.unlisted",
        "warning",
        "Pictures that no split names",
        "Nothing is lost: a share of them was held out. Add them to the split lists to choose yourself.",
    ),
    (
        "split.held-out-kept",
        "warning",
        "Held out before, now named for training",
        "Nothing to do: what an earlier run held out stays held out, so that runs can be compared.",
    ),
    (
        "split.made-from-train",
        "warning",
        "The data names no held-out pictures",
        "Nothing to do: a share of the train split was held out. Name a validation split to choose yourself.",
    ),
)
