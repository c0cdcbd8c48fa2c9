"""Child processes that die with their parent. Knows nothing of what they run."""
