"""Files: how they are written, and the record of what a long run has done."""
