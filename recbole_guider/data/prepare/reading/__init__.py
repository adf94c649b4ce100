"""Reading the files of other projects, whichever source they belong to."""
