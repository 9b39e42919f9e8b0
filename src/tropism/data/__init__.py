"""Files and hub data sets to groups and back; every row is accounted for."""
