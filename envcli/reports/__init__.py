"""Reports on run folders, as tables, pages and spreadsheets. No file here imports torch."""
