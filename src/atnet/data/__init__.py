"""From the data file to the splits: read the file, map labels, check rows and table, group near duplicates, split."""
