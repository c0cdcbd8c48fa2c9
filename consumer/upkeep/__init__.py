"""The steps that keep the tables and the lists in order. There is no leader: whoever wins a turn takes it (U1 turns)."""
