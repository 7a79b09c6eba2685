"""What the bytes of a weights file mean: one file per format."""
