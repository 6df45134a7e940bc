//! The commands of a client: scan, batch, rules, watch, login; against any Core-compatible server.
