"""Thousands of workloads: spread over processes, written and read as lines."""
