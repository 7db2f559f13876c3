"""The preparation's report as one self-contained page for the annotation team: no scripts, nothing loaded."""

from __future__ import annotations

from dataprep_job.report_page.page import report_page

__all__ = ["report_page"]
