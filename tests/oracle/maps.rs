//! `/proc/PID/smaps`: the mappings of a process, with what each process made of them (proc(5)).

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// End.
    pub end: u64,
    /// `rwxp`, as the kernel prints it.
    pub permissions: [u8; 4],
    /// Offset in the file.
    pub offset: u64,
    /// A file's absolute path, `[heap]` and the like, or nothing.
    pub path: Vec<u8>,
    /// Kilobytes of pages that are the process's own: written to, or never from a file. Not
    /// `Private_Dirty`, which counts a file's pages too while the disk has not got them yet.
    pub anonymous: u64,
}

impl Mapping {
    /// The mapping shows a file.
    pub fn is_file(&self) -> bool {
        self.path.starts_with(b"/")
    }

    /// Code can run here.
    pub fn is_executable(&self) -> bool {
        self.permissions[2] == b'x'
    }

    /// Neither readable, writable nor executable: as good as a hole.
    pub fn is_inaccessible(&self) -> bool {
        self.permissions.starts_with(b"---")
    }
}

/// Parses `maps` or `smaps`; lines that are neither a mapping nor `Anonymous` are skipped.
pub fn parse(text: &[u8]) -> Vec<Mapping> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        if let Some(mapping) = mapping(line) {
            mappings.push(mapping);
        } else if let (Some(value), Some(last)) =
            (line.strip_prefix(b"Anonymous:"), mappings.last_mut())
        {
            let value = String::from_utf8_lossy(value);
            last.anonymous =
                value.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        }
    }
    mappings
}

/// `START-END PERMS OFFSET DEV INODE   PATH`; the path may hold spaces.
fn mapping(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
        let (field, tail) = rest.split_at(end);
        rest = tail.trim_ascii_start();
        field
    };
    let range = std::str::from_utf8(field()).ok()?;
    let (start, end) = range.split_once('-')?;
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    let permissions = field().try_into().ok()?;
    let offset = u64::from_str_radix(std::str::from_utf8(field()).ok()?, 16).ok()?;
    let (_device, _inode) = (field(), field());
    Some(Mapping { start, end, permissions, offset, path: rest.to_vec(), anonymous: 0 })
}
