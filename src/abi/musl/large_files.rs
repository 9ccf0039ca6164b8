//! Names with 64 at their end, for files larger than 2 GiB, which are the plain functions in musl. Its C library has
//! both up to 1.2.3. From then on its loader binds references that nothing defines to the plain name, for the sake of
//! programs that are older.

/// The names without their end.
const PLAIN: &str = "\
__fxstat __fxstatat __lxstat __xstat aio_cancel aio_error aio_fsync aio_read aio_return aio_suspend aio_write alphasort
creat fallocate fgetpos fopen freopen fseeko fsetpos fstat fstatat fstatfs fstatvfs ftello ftruncate ftw getdents
getrlimit glob globfree lio_listio lockf lseek lstat mkostemp mkostemps mkstemp mkstemps mmap nftw open openat
posix_fadvise posix_fallocate pread preadv prlimit pwrite pwritev readdir scandir sendfile setrlimit stat statfs statvfs
tmpfile truncate versionsort";

/// The plain name for one with 64 in it.
#[must_use]
pub fn plain_name(name: &[u8]) -> Option<&[u8]> {
    if name == b"readdir64_r" {
        return Some(b"readdir_r");
    }
    let plain = name.strip_suffix(b"64")?;
    PLAIN.split_ascii_whitespace().any(|known| known.as_bytes() == plain).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_functions_of_files_have_two_names() {
        assert_eq!(plain_name(b"fopen64"), Some(&b"fopen"[..]));
        assert_eq!(plain_name(b"versionsort64"), Some(&b"versionsort"[..]));
        assert_eq!(plain_name(b"readdir64_r"), Some(&b"readdir_r"[..]));
        for name in [&b"fopen"[..], b"64", b"printf64", b"fopen64_r", b"fopen6"] {
            assert_eq!(plain_name(name), None);
        }
        assert_eq!(PLAIN.split_ascii_whitespace().count(), 59);
    }
}
