"""The stores: the only code that speaks SQL or Redis. Decides nothing about a task's life."""
