//! An object's bytes in memory: planned from its program headers, mapped, read through one door, sealed.

pub mod map;
pub mod memory;
pub mod plan;
pub mod view;

pub use map::Mapping;
pub use memory::Words;
pub use plan::Plan;
pub use view::Image;
