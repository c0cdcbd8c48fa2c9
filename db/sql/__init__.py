"""One statement, one file, one verb: each can be pasted into psql and explained."""
