"""One thin command per DVC stage: read files, call one library function, write files."""
