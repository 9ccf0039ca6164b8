//! Who made the processor, which one it is, and the raw leaves.

use super::cpuid::{Cpuid, Reader};
use super::feature::{EAX, EBX, LEAF_1, LEAF_ORDER, Leaves};

/// The maker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// "GenuineIntel".
    Intel,
    /// "AuthenticAMD".
    Amd,
    /// "CentaurHauls" or "  Shanghai  ".
    Zhaoxin,
    /// "HygonGenuine": to glibc up to 2.40, AMD's.
    Hygon,
    /// Anything else.
    Other,
}

/// `cpu_features.basic`: the processor's identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Basic {
    /// The maker.
    pub kind: Kind,
    /// The highest basic leaf.
    pub max_cpuid: u32,
    /// The display family; zero for [`Kind::Other`].
    pub family: u32,
    /// The model as glibc computes it, which depends on maker and family; zero for
    /// [`Kind::Other`].
    pub model: u32,
    /// The stepping; zero for [`Kind::Zhaoxin`] and [`Kind::Other`], which glibc does not record.
    pub stepping: u32,
}

impl Kind {
    /// By the vendor string's twelve bytes.
    fn of(vendor: &[u8; 12]) -> Self {
        match vendor {
            b"GenuineIntel" => Self::Intel,
            b"AuthenticAMD" => Self::Amd,
            b"HygonGenuine" => Self::Hygon,
            b"CentaurHauls" | b"  Shanghai  " => Self::Zhaoxin,
            _ => Self::Other,
        }
    }

    /// Its number in release 2.`minor` (`enum cpu_features_kind`): makers that come later are "other".
    #[must_use]
    pub const fn number(self, minor: u16) -> u32 {
        match self {
            Self::Intel => 1,
            Self::Amd => 2,
            Self::Hygon if minor < 41 => 2,
            Self::Zhaoxin => 3,
            Self::Other if minor < 32 => 3,
            Self::Hygon => 4,
            Self::Other if minor < 41 => 4,
            Self::Other => 5,
        }
    }
}

/// Reads the identity and the leaves glibc keeps. Leaf 1 and the extended leaves of unknown makers
/// stay zero, so that such processors are treated as having no feature of those leaves.
pub(super) fn identify(cpu: &mut Reader<impl Cpuid>) -> (Basic, Leaves) {
    let [max_cpuid, ebx, ecx, edx] = cpu.get(0, 0);
    let mut vendor = [0; 12];
    for (bytes, register) in vendor.chunks_exact_mut(4).zip([ebx, edx, ecx]) {
        bytes.copy_from_slice(&register.to_le_bytes());
    }
    let kind = Kind::of(&vendor);

    let mut leaves = Leaves::default();
    for (slot, (leaf, subleaf)) in leaves.0.iter_mut().zip(LEAF_ORDER) {
        let wanted = match leaf {
            1 => kind != Kind::Other,
            0x8000_0000.. => kind != Kind::Other && cpu.get(0x8000_0000, 0)[EAX] >= leaf,
            _ => max_cpuid >= leaf,
        };
        if wanted {
            slot.cpuid = cpu.get(leaf, subleaf);
        }
    }

    let signature = leaves.0[LEAF_1].cpuid[EAX];
    let mut family = signature >> 8 & 0xf;
    let mut model = signature >> 4 & 0xf;
    let extended_model = signature >> 12 & 0xf0;
    if family == 0xf {
        family += signature >> 20 & 0xff;
        model += extended_model;
    }
    // Zhaoxin's is added whatever the family, even a second time.
    if kind == Kind::Zhaoxin || kind == Kind::Intel && family == 6 {
        model += extended_model;
    }
    let stepping = if kind == Kind::Zhaoxin { 0 } else { signature & 0xf };
    let basic = Basic { kind, max_cpuid, family, model, stepping };
    (basic, leaves)
}

/// The number of logical processors in the package, as leaf 1 tells it.
pub(super) const fn package_threads(leaves: &Leaves) -> u32 {
    leaves.0[LEAF_1].cpuid[EBX] >> 16 & 0xff
}
