//! The link maps that libc, debuggers and unwinders read: one `struct link_map` per visible object (contract 4).
//!
//! # Safety
//!
//! The structures are allocated here, zeroed, and never freed, so [`Fields`] over them stay valid.
#![allow(unsafe_code)]

use alloc::ffi::CString;
use alloc::vec;
use alloc::vec::Vec;

use super::fields::Fields;
use super::layout::{Layout, ScopeElem};
use crate::addr::{Addr, ObjectId, Vaddr};
use crate::elf::hash::HashTable;
use crate::linkmap::LinkMap;
use crate::object::{Object, Role};
use crate::tls;

/// The link maps by object; `None` for an object that is not visible.
#[derive(Debug, Default)]
pub struct LinkMaps {
    by_object: Vec<Option<Fields>>,
}

/// `struct libname_list` (contract 8.4): name, next, dont_free.
const LIBNAME_WORDS: usize = 3;
/// Types of objects in `l_type`.
const EXECUTABLE: u8 = 0;
const LIBRARY: u8 = 1;

impl LinkMaps {
    /// Makes a link map for each visible object and fills in all that does not depend on addresses of others.
    #[must_use]
    pub fn new(layout: &Layout, map: &LinkMap<'_>, visible: &[ObjectId]) -> Self {
        let words = usize::from(layout.link_map.size).div_ceil(8) + LIBNAME_WORDS;
        let mut this = Self { by_object: vec![None; map.objects.len()] };
        let memory = vec![0u64; words * visible.len()].leak();
        for (chunk, &id) in memory.chunks_exact_mut(words).zip(visible) {
            // SAFETY: the chunk is never freed and nothing else points to it.
            let fields = unsafe { Fields::new(chunk.as_mut_ptr().cast(), words * 8) };
            if let Some(slot) = this.by_object.get_mut(id.index()) {
                *slot = Some(fields);
            }
        }
        this
    }

    /// The link map of an object.
    #[must_use]
    pub fn get(&self, id: ObjectId) -> Option<Fields> {
        *self.by_object.get(id.index())?
    }

    /// The address of an object's link map; 0 if it has none.
    #[must_use]
    pub fn address(&self, id: ObjectId) -> u64 {
        self.get(id).map_or(0, |fields| fields.address())
    }

    /// The object with a link map at `address`.
    #[must_use]
    pub fn object(&self, address: u64) -> Option<ObjectId> {
        let is_it = |fields: &Option<Fields>| fields.is_some_and(|it| it.address() == address);
        let at = self.by_object.iter().position(is_it)?;
        u32::try_from(at).ok().map(ObjectId)
    }

    /// Fills in all link maps; `visible` is the order of the list. Returns the global scope: an array of link maps, and
    /// its length.
    pub fn write(
        &self,
        layout: &Layout,
        map: &LinkMap<'static>,
        tls: &tls::Layout,
        visible: &[ObjectId],
    ) -> (u64, u32) {
        let global_scope = self.scope(map.search_list.iter().copied());
        for (index, &id) in visible.iter().enumerate() {
            let (Some(fields), Some(object)) = (self.get(id), map.get(id)) else { continue };
            let neighbour = |at: Option<usize>| {
                let id = at.and_then(|at| visible.get(at));
                id.map_or(0, |&id| self.address(id))
            };
            let links = &layout.link_map;
            fields.set(links.l_next, neighbour(index.checked_add(1)));
            fields.set(links.l_prev, neighbour(index.checked_sub(1)));
            fields.set(links.l_real, fields.address());
            fields.set(links.l_loader, object.loader.map_or(0, |id| self.address(id)));
            identity(layout, &fields, object);
            symbols(layout, &fields, object);
            flags(layout, &fields, object);
            thread_local(layout, &fields, tls, id);
            let own_scope = match object.role {
                Role::Program => global_scope,
                _ => self.scope(core::iter::once(id)),
            };
            let program = visible.first().map_or(0, |&id| self.address(id));
            scopes(layout, &fields, own_scope, program);
            fields.set(links.l_serial, index as u64);
        }
        global_scope
    }

    /// An array of link maps and its length.
    fn scope(&self, ids: impl Iterator<Item = ObjectId>) -> (u64, u32) {
        let list: Vec<u64> = ids.map(|id| self.address(id)).collect();
        let count = u32::try_from(list.len()).unwrap_or_default();
        (list.leak().as_ptr() as u64, count)
    }
}

/// Where the object is and what it is called.
fn identity(layout: &Layout, fields: &Fields, object: &Object<'static>) {
    let links = &layout.link_map;
    let image = &object.image;
    let name = object.name.as_ptr() as u64;
    fields.set(links.l_addr, image.bias.0);
    fields.set(links.l_name, name);
    let dynamic = object.segments.dynamic;
    fields.set(links.l_ld, dynamic.map_or(0, |span| image.address(span.vaddr).0));
    let entries = dynamic.map_or(0, |span| span.size / 16);
    fields.set(links.l_ldnum, u16::try_from(entries).unwrap_or(u16::MAX));
    fields.set(links.l_phdr, object.phdr.0);
    fields.set(links.l_phnum, object.phnum);
    fields.set(links.l_entry, object.entry.0);
    let (start, end) = extent(object);
    fields.set(links.l_map_start, start);
    fields.set(links.l_map_end, end);
    if let Some(text_end) = links.l_text_end {
        let code = object
            .segments
            .loads
            .iter()
            .rfind(|load| load.access.contains(crate::elf::segment::Access::EXECUTE));
        fields.set(text_end, code.map_or(end, |load| image.address(Vaddr(load.end())).0));
    }
    let origin = CString::new(object.directory()).unwrap_or_default();
    fields.set(links.l_origin, origin.into_raw() as u64);
    if let Some(identity) = object.identity {
        fields.set(links.l_file_id, identity.device);
        fields.set(links.l_file_id + 8, identity.inode);
    }
    // The list of names has one entry, behind the link map, which libc must not free.
    let list = links.size.next_multiple_of(8);
    fields.set(links.l_libname, fields.at(list));
    fields.set(list, name);
    fields.set(list + 16, 1u32);
    if let Some(relro) = object.segments.relro {
        fields.set(links.l_relro_addr, relro.vaddr.0);
        fields.set(links.l_relro_size, relro.size);
    }
}

/// First byte and end of an object in the process.
#[must_use]
pub fn extent(object: &Object<'_>) -> (u64, u64) {
    let loads = &object.segments.loads;
    let start = loads.first().map_or(0, |load| crate::addr::page_down(load.vaddr.0));
    let end = loads.last().map_or(0, |load| load.end());
    (object.image.address(Vaddr(start)).0, object.image.address(Vaddr(end)).0)
}

/// The dynamic section's entries and the hash table, which `_dl_addr` of libc walks.
fn symbols(layout: &Layout, fields: &Fields, object: &Object<'static>) {
    let links = &layout.link_map;
    let dynamic = &object.dynamic;
    if let Some(section) = object.segments.dynamic {
        let start = object.image.address(section.vaddr).0;
        for (tag, index) in dynamic.tags() {
            // An entry that an older release of glibc keeps out of its own maps as well: debuggers would use it.
            fields.set(links.l_info_slot(tag), start + u64::from(index) * 16);
        }
    }
    let address = |vaddr: Vaddr| object.image.address(vaddr).0;
    fields.set(links.l_versyms, dynamic.versym.map_or(0, address));
    let word = |bytes: &[u8], offset| crate::elf::table::read::<u32>(bytes, offset).unwrap_or(0);
    match (&object.exports.hash, dynamic.gnu_hash, dynamic.hash) {
        (HashTable::Gnu(_), Some(at), _) => {
            let head = object.image.bytes(at, 16).unwrap_or_default();
            let (buckets, first) = (word(head, 0), word(head, 4));
            let (bloom, shift) = (word(head, 8), word(head, 12));
            let bitmask = address(at) + 16;
            let table = bitmask + u64::from(bloom) * 8;
            fields.set(links.l_nbuckets, buckets);
            fields.set(links.l_gnu_bitmask_idxbits, bloom.wrapping_sub(1));
            fields.set(links.l_gnu_shift, shift);
            fields.set(links.l_gnu_bitmask, bitmask);
            fields.set(links.l_gnu_buckets, table);
            let chain = table + u64::from(buckets) * 4;
            fields.set(links.l_gnu_chain_zero, chain.wrapping_sub(u64::from(first) * 4));
        }
        (HashTable::Sysv(_), _, Some(at)) => {
            let buckets = word(object.image.bytes(at, 8).unwrap_or_default(), 0);
            fields.set(links.l_nbuckets, buckets);
            // The two fields share their place with the GNU table's and are named for it.
            fields.set(links.l_gnu_chain_zero, address(at) + 8);
            fields.set(links.l_gnu_buckets, address(at) + 8 + u64::from(buckets) * 4);
        }
        _ => {}
    }
}

fn flags(layout: &Layout, fields: &Fields, object: &Object<'_>) {
    let links = &layout.link_map;
    let is_program = object.role == Role::Program;
    fields.set_bits(links.l_type, if is_program { EXECUTABLE } else { LIBRARY });
    fields.set_bits(links.l_relocated, 1);
    fields.set_bits(links.l_init_called, 1);
    fields.set_bits(links.l_global, u8::from(object.role != Role::Vdso));
    fields.set_bits(links.l_main_map, u8::from(is_program));
    fields.set_bits(links.l_contiguous, u8::from(is_contiguous(object)));
    fields.set_bits(links.l_find_object_processed, 1);
    // rld leaves dynamic sections as they are: libc adds the load bias itself (contract 8.3).
    fields.set_bits(links.l_ld_readonly, 1);
    fields.set(links.l_direct_opencount, u32::from(is_program));
    fields.set(links.l_used, 1u32);
    #[expect(clippy::cast_possible_truncation, reason = "the field has 32 bits in glibc as well")]
    fields.set(links.l_flags_1, object.dynamic.flags_1_raw as u32);
    #[expect(clippy::cast_possible_truncation, reason = "all flags are in the low bits")]
    fields.set(links.l_flags, object.dynamic.flags.bits() as u32);
    fields.set(links.l_x86_isa_1_needed, object.isa_needed);
    const NO_PATHS: u64 = u64::MAX;
    fields.set(links.l_rpath_dirs, NO_PATHS);
    fields.set(links.l_runpath_dirs, NO_PATHS);
}

/// Whether every page between the first and the last segment belongs to a segment.
fn is_contiguous(object: &Object<'_>) -> bool {
    crate::image::Plan::new(object.kind, &object.segments).gaps.is_empty()
}

fn thread_local(layout: &Layout, fields: &Fields, tls: &tls::Layout, id: ObjectId) {
    let links = &layout.link_map;
    let Some(module) = tls.module(id) else { return };
    let tls::Module { segment, image: Addr(image), id, offset, .. } = *module;
    fields.set(links.l_tls_initimage, image);
    fields.set(links.l_tls_initimage_size, segment.filesz);
    fields.set(links.l_tls_blocksize, segment.memsz);
    fields.set(links.l_tls_align, segment.align);
    fields.set(links.l_tls_firstbyte_offset, segment.skew);
    fields.set(links.l_tls_offset, offset);
    fields.set(links.l_tls_modid, id);
}

/// The lists that dlsym hands back to the loader unread: the global scope, and the object's own.
fn scopes(layout: &Layout, fields: &Fields, (list, count): (u64, u32), program: u64) {
    let links = &layout.link_map;
    fields.set(links.l_searchlist, list);
    fields.set(links.l_searchlist + ScopeElem::COUNT as u16, count);
    fields.set(links.l_scope, fields.at(links.l_scope_mem));
    fields.set(links.l_scope_max, 4u64);
    fields.set(links.l_scope_mem, program + u64::from(links.l_searchlist));
    fields.set(links.l_local_scope, fields.at(links.l_searchlist));
}
