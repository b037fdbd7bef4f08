"""From the raw file to the split rows: fetch, read, map the labels, check, group near duplicates, part."""
