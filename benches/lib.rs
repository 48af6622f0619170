//! Nothing: the programs are the examples of this package, beside it.
