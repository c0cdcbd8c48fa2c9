"""The rules of Sluice: values, states, verdicts and settings. Imports nothing else of ours and no driver."""
