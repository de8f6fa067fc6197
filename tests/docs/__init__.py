"""Tests of the pages and of the rules that a machine can read off the tree."""
