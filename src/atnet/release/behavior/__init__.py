"""Behavior suites: capabilities a model must have whatever its scores (CheckList, Ribeiro et al., ACL 2020)."""
