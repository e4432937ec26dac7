"""The report of runs as one HTML file: curves, samples, evaluations, configuration and provenance.

Used by other rooms: `FILE`; `Report` (report), which reads runs and writes the file; `Page` (page), the typed data of the file;
`LiveReport` (live), which keeps the file current during a run.
"""

FILE = "report.html"
"""The report in a run directory."""
