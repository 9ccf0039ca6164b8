//! The x86-64 psABI's relocation types (table 4.9) and the thread control block's fixed part (contract 2.1).

/// A relocation type that a dynamic linker handles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelocationKind {
    /// `R_X86_64_NONE`.
    None,
    /// `R_X86_64_64`: S + A.
    Abs64,
    /// `R_X86_64_PC32`: S + A − P, 32 bits.
    Pc32,
    /// `R_X86_64_PC64`: S + A − P.
    Pc64,
    /// `R_X86_64_32`: S + A, zero-extended from 32 bits.
    Abs32,
    /// `R_X86_64_32S`: S + A, sign-extended from 32 bits.
    Abs32Signed,
    /// `R_X86_64_COPY`: the symbol's bytes.
    Copy,
    /// `R_X86_64_GLOB_DAT`: S.
    GlobDat,
    /// `R_X86_64_JUMP_SLOT`: S.
    JumpSlot,
    /// `R_X86_64_RELATIVE`: B + A.
    Relative,
    /// `R_X86_64_DTPMOD64`: the TLS module's id.
    DtpMod,
    /// `R_X86_64_DTPOFF64`: the offset in the TLS block.
    DtpOff,
    /// `R_X86_64_TPOFF64`: the offset from the thread pointer.
    TpOff,
    /// `R_X86_64_SIZE32`: Z + A, 32 bits.
    Size32,
    /// `R_X86_64_SIZE64`: Z + A.
    Size64,
    /// `R_X86_64_TLSDESC`: a TLS descriptor.
    TlsDesc,
    /// `R_X86_64_IRELATIVE`: what the resolver at B + A returns.
    IRelative,
}

impl RelocationKind {
    /// The type with number `r_type`; `None` for those that are a link editor's business.
    #[inline]
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::Abs64,
            2 => Self::Pc32,
            5 => Self::Copy,
            6 => Self::GlobDat,
            7 => Self::JumpSlot,
            8 => Self::Relative,
            10 => Self::Abs32,
            11 => Self::Abs32Signed,
            16 => Self::DtpMod,
            17 => Self::DtpOff,
            18 => Self::TpOff,
            24 => Self::Pc64,
            32 => Self::Size32,
            33 => Self::Size64,
            36 => Self::TlsDesc,
            37 => Self::IRelative,
            _ => return None,
        })
    }

    /// Whether the reference binds to real definitions only, never to an executable's PLT entry: calls, and everything
    /// thread-local (glibc: `ELF_RTYPE_CLASS_PLT`).
    #[inline]
    #[must_use]
    pub const fn needs_definition(self) -> bool {
        matches!(self, Self::JumpSlot | Self::DtpMod | Self::DtpOff | Self::TpOff | Self::TlsDesc)
    }

    /// Whether the value is made of the symbol's address, which an IFUNC resolver may have to say.
    #[must_use]
    pub const fn uses_address(self) -> bool {
        matches!(
            self,
            Self::Abs64
                | Self::Pc32
                | Self::Pc64
                | Self::Abs32
                | Self::Abs32Signed
                | Self::GlobDat
                | Self::JumpSlot
        )
    }

    /// The psABI's name, for the types whose value may not fit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pc32 => "R_X86_64_PC32",
            // ld.so has one name for both.
            Self::Abs32 | Self::Size32 => "R_X86_64_32",
            Self::Abs32Signed => "R_X86_64_32S",
            _ => "R_X86_64",
        }
    }
}

/// The thread control block: offsets from the thread pointer that no release of glibc has moved.
pub mod tcb {
    /// Its own address.
    pub const SELF: u64 = 0;
    /// The dynamic thread vector.
    pub const DTV: u64 = 8;
    /// Its own address again, as `struct pthread`.
    pub const PTHREAD: u64 = 16;
    /// Whether the process has had a second thread (glibc: `multiple_threads`), 32 bits.
    pub const MULTIPLE_THREADS: u64 = 0x18;
    /// Whether the thread reads what the loader may replace (glibc: `gscope_flag`), 32 bits.
    pub const READING: u64 = 0x1c;
    /// The stack protector's canary.
    pub const STACK_GUARD: u64 = 0x28;
    /// The key that mangles stored code pointers.
    pub const POINTER_GUARD: u64 = 0x30;
    /// Alignment of the block, at least.
    pub const ALIGN: u64 = 64;
}
