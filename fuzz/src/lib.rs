//! What the fuzz targets share: one property per parser.

pub mod properties;
