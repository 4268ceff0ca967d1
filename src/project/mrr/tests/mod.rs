//! The worked cases of the document, the clock, and what holds for every subscription.

mod build;
mod cases;
mod clock;
mod laws;
