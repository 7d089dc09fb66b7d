"""A detector that learns to segment cracks drawn on undamaged road."""
