//! What the repository holds besides the program: fixtures, pages, the benchmark and what `.ci/run` checks.

mod benchmark;
mod ci_run;
mod documents;
mod fixtures;
mod operations_page;
mod security_page;
