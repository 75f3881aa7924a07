"""The studio: a page in the browser on which regions and styles are chosen, seen and rendered."""
