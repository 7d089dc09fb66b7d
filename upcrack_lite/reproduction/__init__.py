"""What makes a result traceable: a run on disk, its manifest and its records."""
