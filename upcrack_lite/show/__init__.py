"""What the chapters show: figures, damages to look at, checks of exercises, and widgets."""
