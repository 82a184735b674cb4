"""Progress of a run: in a file, as a table, in lines, with what is left."""
