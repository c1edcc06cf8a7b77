//! Benchmarks: programs that print a ratio against a named opponent in the same run.
