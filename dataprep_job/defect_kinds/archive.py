"""Kinds of defects of zip archives."""

from __future__ import annotations

from dataprep_job.defect_kinds.kind import Row

ROWS: tuple[Row, ...] = (
    (
        "archive.damaged",
        "error",
        "Zip archive cannot be opened",
        "Make the zip again and upload it whole; until then what could not be found in it is left out.",
    ),
    (
        "archive.spanned",
        "error",
        "Zip archive in several parts",
        "Join the parts into one zip, or upload the files in it as they are.",
    ),
    (
        "archive.too-large",
        "error",
        "Too many files in zip archives",
        "Upload the files as they are, or make several datasets of them.",
    ),
    (
        "archive.bomb",
        "error",
        "Zip archive that swells beyond measure",
        "Upload the files as they are; a zip that unpacks to so much more than its size is never opened.",
    ),
    (
        "archive.empty",
        "warning",
        "Zip archive without files",
        "Remove the zip, or make it again with the files that belong in it.",
    ),
    (
        "archive.encrypted",
        "error",
        "Encrypted files in a zip archive",
        "Make the zip again without a password.",
    ),
    (
        "archive.unsupported-method",
        "error",
        "Files in a zip archive packed in an unusual way",
        "Make the zip again with usual compression (deflate) or none.",
    ),
    (
        "archive.nested",
        "error",
        "Archives in a zip archive",
        "Upload the inner archives beside the outer one as zip files, or the files in them as they are.",
    ),
    (
        "archive.unsupported",
        "error",
        "Archive that is no zip",
        "Upload the files in it as a zip archive or as they are.",
    ),
    (
        "archive.duplicate-member",
        "error",
        "Two files of one name in a zip archive",
        "Keep one of the two files; the one packed last was used.",
    ),
    (
        "archive.path-taken",
        "error",
        "File of a zip archive that also lies beside it",
        "Remove the zip or the folder of the zip's name; the file in the folder was used.",
    ),
    (
        "archive.member-damaged",
        "error",
        "File in a zip archive is damaged",
        "Make the zip again and upload it; this file in it is cut off or was changed on its way.",
    ),
)
