"""What pathologists' programs read and write: ImageScope XML, QuPath GeoJSON, and the tables."""
