//! Which endpoint a request leads to: reads lines of method and path, writes the endpoint's name for
//! each. `scripts/drift` asks it about every path of the clients' code.

use mantle_wire::route::route;
use mantle_wire::url::Address;
use std::io::{BufRead as _, Write as _};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (method, path) = line.split_once(' ').unwrap_or((&line, ""));
        let url = format!("https://hs.example.org{path}");
        match Address::parse(&url) {
            Some(address) => writeln!(out, "{:?}", route(method, &address).endpoint)?,
            None => writeln!(out, "Foreign")?,
        }
    }
    Ok(())
}
