"""Kinds of defects of JSON formats."""

from __future__ import annotations

from dataprep_job.defect_kinds.kind import Row

ROWS: tuple[Row, ...] = (
    # Any JSON
    (
        "json.broken",
        "error",
        "JSON file is damaged",
        "Export the file again from the annotation tool; what stands behind the mistake was not read.",
    ),
    (
        "json.number-as-text",
        "warning",
        "Numbers written as text",
        "Nothing is lost; write numbers without quotes, as other programs may refuse them.",
    ),
    # COCO
    (
        "coco.bad-image",
        "error",
        "Entry of 'images' cannot be used",
        "Give the entry an id and a file_name.",
    ),
    (
        "coco.bad-annotation",
        "error",
        "Entry of 'annotations' cannot be used",
        "Give the annotation an image_id and a category_id that the file lists.",
    ),
    (
        "coco.bad-category",
        "error",
        "Entry of 'categories' cannot be used",
        "Give the category an id and a name.",
    ),
    (
        "coco.duplicate-id",
        "error",
        "Image id used for several pictures",
        "Give every picture an id of its own, and its annotations that image_id; joined files need new ids.",
    ),
    (
        "coco.duplicate-category",
        "error",
        "Category id with two names",
        "Give every category an id of its own, and its annotations that category_id.",
    ),
    (
        "coco.duplicate-annotation-id",
        "warning",
        "Annotation id used twice",
        "Nothing is lost; number the annotations anew, as other programs may keep only one.",
    ),
    (
        "coco.repeated-image",
        "warning",
        "Picture listed twice",
        "Nothing is lost; remove the entries of 'images' that no annotation needs.",
    ),
    (
        "coco.unknown-image",
        "error",
        "Annotation of a picture that is not listed",
        "Add the picture to 'images', or remove the annotation.",
    ),
    (
        "coco.class-without-name",
        "error",
        "Category id without a name",
        "Add the category's id and name to 'categories'.",
    ),
    (
        "coco.no-box",
        "error",
        "Annotation without a box",
        "Draw the box again, or remove the annotation.",
    ),
    (
        "coco.mask-without-box",
        "error",
        "Mask without a box",
        "Export the masks together with their boxes (bbox).",
    ),
    (
        "coco.box-from-polygon",
        "warning",
        "Box taken from a polygon",
        "Nothing to do: the box around the polygon is used.",
    ),
    (
        "coco.crowd",
        "warning",
        "Crowd regions left out",
        "Nothing to do, or box the objects of the crowd one by one.",
    ),
    (
        "coco.size-missing",
        "warning",
        "'images' does not say the picture's size",
        "Nothing is lost, but a wrong picture would go unnoticed; export with width and height.",
    ),
    (
        "coco.no-annotations",
        "warning",
        "COCO file without annotations",
        "Nothing to do if the pictures are meant to be unlabelled; otherwise export the annotations too.",
    ),
    (
        "coco.no-boxes",
        "warning",
        "COCO file for another task",
        "Nothing to do: captions, key points and segments are not trained on.",
    ),
    # SageMaker's built-in object detection
    (
        "sagemaker.bad-file",
        "error",
        "Annotation file is incomplete",
        "Give the file its 'file', 'image_size', 'annotations' and 'categories'.",
    ),
    (
        "sagemaker.bad-annotation",
        "error",
        "Entry of 'annotations' cannot be used",
        "Give the annotation a class_id, left, top, width and height.",
    ),
    (
        "sagemaker.bad-category",
        "error",
        "Entry of 'categories' cannot be used",
        "Give the category a class_id of its own and a name.",
    ),
    (
        "sagemaker.class-without-name",
        "error",
        "Class id without a name",
        "Add the class_id and its name to the file's 'categories'.",
    ),
    (
        "sagemaker.categories-differ",
        "warning",
        "Class id with different names",
        "The names count; check that every file lists the same categories.",
    ),
    (
        "sagemaker.file-mismatch",
        "warning",
        "'file' names another picture",
        "The picture that is there was used; give picture and annotation the same name, and 'file' as well.",
    ),
    (
        "sagemaker.size-missing",
        "warning",
        "Annotation does not say the picture's size",
        "Nothing is lost, but a wrong picture would go unnoticed; export with image_size.",
    ),
    # SageMaker Ground Truth
    (
        "manifest.bad-line",
        "error",
        "Line of a manifest cannot be read",
        "Every line is one JSON object; mend the line or remove it.",
    ),
    (
        "manifest.missing-source-ref",
        "error",
        "Line without source-ref",
        "Give the line the s3:// address of its picture as source-ref.",
    ),
    (
        "manifest.wrong-type",
        "error",
        "Labels of another kind of job",
        "Upload the manifest of a bounding box job (groundtruth/object-detection).",
    ),
    (
        "manifest.bad-label",
        "error",
        "Label cannot be read",
        "The label needs image_size and annotations; export the manifest again.",
    ),
    (
        "manifest.class-without-name",
        "error",
        "Class id without a name",
        "Add the class_id to the class-map in the line's metadata.",
    ),
    (
        "manifest.failed",
        "error",
        "Labelling failed",
        "Label the picture again; the message has the reason that Ground Truth gave.",
    ),
    (
        "manifest.no-annotation",
        "warning",
        "Line without labels",
        "Label the pictures, or leave them: they are not trained on.",
    ),
    (
        "manifest.several-labels",
        "warning",
        "Labels of several jobs",
        "Nothing to do if the newest job corrects the older ones; otherwise keep one job's labels.",
    ),
    (
        "manifest.class-map-differs",
        "warning",
        "Class id with different names",
        "The names count; check that they are meant.",
    ),
    (
        "manifest.metadata-missing",
        "warning",
        "Label without its type",
        "Nothing is lost; give the label's metadata the type groundtruth/object-detection.",
    ),
    (
        "manifest.size-missing",
        "warning",
        "Line does not say the picture's size",
        "Nothing is lost, but a wrong picture would go unnoticed; export with image_size.",
    ),
    # Label Studio
    (
        "labelstudio.bad-task",
        "error",
        "Task cannot be used",
        "Give the task one picture in its data, and a list of annotations with their results.",
    ),
    (
        "labelstudio.bad-region",
        "error",
        "Region cannot be used",
        "Give the region a label; a turned one needs original_width and original_height as well.",
    ),
    (
        "labelstudio.several-labels",
        "error",
        "Region with several labels",
        "Give the region one label; other facts about the object belong into choices.",
    ),
    (
        "labelstudio.annotators-disagree",
        "error",
        "Annotators disagree",
        "Delete the wrong annotations, or mark the right one as ground truth, and export again.",
    ),
    (
        "labelstudio.unlabelled",
        "warning",
        "Tasks not labelled yet",
        "Label the pictures, or leave them: they are not trained on.",
    ),
    (
        "labelstudio.cancelled",
        "warning",
        "Tasks skipped by the annotators",
        "Label the pictures, or leave them: they are not trained on.",
    ),
    (
        "labelstudio.size-missing",
        "warning",
        "Annotation does not say the picture's size",
        "Nothing is lost, but a wrong picture would go unnoticed; export with the original sizes.",
    ),
    # LabelMe
    (
        "labelme.bad-file",
        "error",
        "Annotation file is incomplete",
        "Give the file its shapes and imagePath, or export it again.",
    ),
    (
        "labelme.bad-shape",
        "error",
        "Shape cannot be used",
        "Give the shape a label and its points: two for a rectangle, three or more for a polygon.",
    ),
    (
        "labelme.image-path",
        "warning",
        "imagePath names another picture",
        "The picture of the same name as the annotation file was used; correct imagePath if that is wrong.",
    ),
    (
        "labelme.size-missing",
        "warning",
        "Annotation does not say the picture's size",
        "Nothing is lost, but a wrong picture would go unnoticed; save with imageWidth and imageHeight.",
    ),
    # Create ML
    (
        "createml.bad-image",
        "error",
        "Entry cannot be used",
        "Give the entry the name of its picture and a list of annotations.",
    ),
    (
        "createml.bad-annotation",
        "error",
        "Annotation cannot be used",
        "Give the annotation a label and its coordinates x, y, width and height.",
    ),
)
