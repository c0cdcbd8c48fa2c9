"""The sinks of events: log lines and counters. Decides nothing."""
