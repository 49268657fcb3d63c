#!/usr/bin/python3
"""Measures; see doc/benchmarks.md."""
