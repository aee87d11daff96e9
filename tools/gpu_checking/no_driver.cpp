// An empty library: it lends its name to what is linked with it.
