//! The members as people read and change them: over HTTP and on the command line.

mod api;
mod pages;
mod population;
mod query;
mod tables;
