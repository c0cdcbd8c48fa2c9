"""The steps that keep the tables and the lists in order. There is no leader: who wins a turn takes it (U1 turns)."""
