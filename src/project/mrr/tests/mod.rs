//! The worked cases of the document, the clock, and properties.

mod build;
mod cases;
mod clock;
mod laws;
