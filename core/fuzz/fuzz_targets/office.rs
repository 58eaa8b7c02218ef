#![no_main]
mantle_fuzz::law!(Kind::Office | Kind::Zip);
