"""Batch scoring: files, folders of partitions and SQL tables of texts, scored by the registered champion."""
