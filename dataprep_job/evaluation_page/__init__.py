"""`evaluation/report.html`: one page that a person reads to see why a model was promoted or not.

It shares the looks of the data report (`dataprep_job.report_page`) and, like it, loads and runs nothing.
"""
