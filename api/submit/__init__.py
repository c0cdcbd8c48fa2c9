"""From the bytes of a submission to committed rows."""
