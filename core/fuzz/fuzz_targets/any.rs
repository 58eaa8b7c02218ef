#![no_main]
mantle_fuzz::law!(_);
