"""Readers of data files, one a format: a path in, arrays out, every defect named. No Keras here."""
