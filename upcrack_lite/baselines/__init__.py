"""The methods that the tables compare UP-CrackNet with, and others that need no training."""
