"""Photos in, masks and numbers out, with any trained model."""
