//! Bounds-checked views over the bytes of an ELF file or image.
