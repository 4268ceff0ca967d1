//! The program as it is started: settings, help, addresses, and everything locally.

mod configuration;
mod demo_data;
mod help;
mod listening;
mod local_run;
mod private_servers;
