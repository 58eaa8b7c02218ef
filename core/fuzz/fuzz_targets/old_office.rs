#![no_main]
mantle_fuzz::law!(Kind::OldOffice);
