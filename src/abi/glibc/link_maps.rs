//! The link maps that libc, debuggers and unwinders read: one `struct link_map` per visible object (contract 4).
//!
//! # Safety
//!
//! The structures are allocated here, zeroed, and freed with the last copy of [`LinkMaps`] that has them, so [`Fields`]
//! over them stay valid while a copy is kept.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::ffi::CString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::fields::Fields;
use super::layout::{Layout, ScopeElem};
use crate::addr::{Addr, ObjectId, Vaddr, page_down};
use crate::elf::hash::HashTable;
use crate::image::plan::gaps;
use crate::linkmap::by_object::ByObject;
use crate::object::{Object, Role};
use crate::tls;

/// The link maps by object. rld has one in every namespace that it is in.
#[derive(Clone, Debug, Default)]
pub struct LinkMaps {
    by_object: ByObject<Option<Arc<Block>>>,
    shadows: BTreeMap<usize, Arc<Block>>,
    by_address: Addresses,
    /// How many auditors there may be.
    auditors: u16,
}

/// Objects by the address of their link map: an open hash table, for programs that look up names by handle.
#[derive(Clone, Debug, Default)]
struct Addresses {
    /// Address and object; address 0 is a free slot. The length is a power of two, and half of the slots stay free.
    slots: Vec<(u64, ObjectId)>,
    count: usize,
}

impl Addresses {
    /// Where to begin to look: allocations differ in their middle bits.
    fn start(&self, address: u64) -> usize {
        (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
    }

    fn get(&self, address: u64) -> Option<ObjectId> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = self.start(address);
        loop {
            let &(known, id) = self.slots.get(at & mask)?;
            if known == address {
                return (address != 0).then_some(id);
            }
            if known == 0 {
                return None;
            }
            at += 1;
        }
    }

    fn insert(&mut self, address: u64, id: ObjectId) {
        if self.slots.len() <= self.count * 2 {
            let larger = (self.slots.len() * 2).max(32);
            let old = core::mem::replace(&mut self.slots, vec![(0, ObjectId(0)); larger]);
            old.into_iter().filter(|slot| slot.0 != 0).for_each(|slot| self.place(slot));
        }
        self.place((address, id));
        self.count += 1;
    }

    fn place(&mut self, slot: (u64, ObjectId)) {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = self.start(slot.0);
        while let Some(place) = self.slots.get_mut(at & mask) {
            if place.0 == 0 {
                *place = slot;
                return;
            }
            at += 1;
        }
    }

    fn remove(&mut self, address: u64) {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = self.start(address);
        while self.slots.get(at & mask).is_some_and(|slot| slot.0 != address && slot.0 != 0) {
            at += 1;
        }
        if self.take(at).is_some() {
            self.count -= 1;
            // What follows may have had to give way to it.
            while let Some(slot) = self.take(at + 1) {
                self.place(slot);
                at += 1;
            }
        }
    }

    /// Empties a slot.
    fn take(&mut self, at: usize) -> Option<(u64, ObjectId)> {
        let mask = self.slots.len().wrapping_sub(1);
        let slot = core::mem::replace(self.slots.get_mut(at & mask)?, (0, ObjectId(0)));
        (slot.0 != 0).then_some(slot)
    }
}

/// The memory of one link map.
#[derive(Debug)]
struct Block {
    words: *mut [u64],
    /// The directory, to which `l_origin` points.
    origin: CString,
    /// What the object was asked for as, for auditors: some show it in place of the path.
    asked: Option<CString>,
    /// The dynamic section with addresses of the process, where libc wants them so and the section cannot be written.
    dynamic: Vec<u64>,
}

// SAFETY: the words are reached through `Fields` alone, under the rules of glibc's lists.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

/// Words before a link map: the object's id and where the object is, for those who have the address alone.
const HEAD: usize = 2;
/// Words after it: `struct libname_list` (contract 8.4) with name, next, dont_free; and the object's own scope.
const LIBNAME_WORDS: usize = 3;
const SCOPE_WORDS: usize = 1;
/// Then, for each auditor, its cookie, and what it wants to know of the object.
const AUDITOR_WORDS: usize = 2;
/// Types of objects in `l_type`.
const EXECUTABLE: u8 = 0;
const LIBRARY: u8 = 1;
const LOADED: u8 = 2;

impl Block {
    fn new(layout: &Layout, id: ObjectId, object: &Object<'_>, auditors: u16) -> Arc<Self> {
        let audit_words = AUDITOR_WORDS * usize::from(auditors);
        let words = HEAD + words_of(layout) + LIBNAME_WORDS + SCOPE_WORDS + audit_words;
        let mut memory = vec![0u64; words].into_boxed_slice();
        if let Some(head) = memory.first_mut() {
            *head = id.0.into();
        }
        let origin = CString::new(object.directory()).unwrap_or_default();
        let asked = object.aliases.first().filter(|_| auditors != 0);
        let asked = asked.and_then(|name| CString::new(&name[..]).ok());
        let dynamic = own_dynamic(layout, object);
        let this = Self { words: Box::into_raw(memory), origin, asked, dynamic };
        this.set_place(object);
        let fields = this.fields();
        for auditor in 0..auditors {
            // Until its auditor changes it, a cookie leads to the link map (rtld-audit(7)).
            fields.set(cookie_at(layout, auditor), fields.address());
        }
        Arc::new(this)
    }

    /// Says where the object is.
    fn set_place(&self, object: &Object<'_>) {
        let place = self.words.cast::<u64>().wrapping_add(1);
        // SAFETY: the head's second word is this value's own, and nobody reads it before the object's code runs.
        unsafe { place.write(core::ptr::from_ref(object).addr() as u64) };
    }

    fn fields(&self) -> Fields {
        let start = self.words.cast::<u64>().wrapping_add(HEAD);
        // SAFETY: the words behind the head are this value's own, and nobody borrows them.
        unsafe { Fields::new(start.cast(), (self.words.len() - HEAD) * 8) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the memory came from a box, and nobody uses the link map any more.
        drop(unsafe { Box::from_raw(self.words) });
    }
}

/// A copy of the dynamic section in which addresses are relocated, for a libc that does not do that itself, of an
/// object whose own cannot be written: the vDSO, rld (contract 8.3).
fn own_dynamic(layout: &Layout, object: &Object<'_>) -> Vec<u64> {
    let Some(section) = object.segments.dynamic else { return Vec::new() };
    if layout.link_map.l_ld_readonly.is_some() || object.relocates_dynamic() {
        return Vec::new();
    }
    let bytes = object.image.bytes(section.vaddr, section.size).unwrap_or_default();
    let (words, _) = bytes.as_chunks();
    let mut words: Vec<_> = words.iter().copied().map(u64::from_le_bytes).collect();
    for entry in object.dynamic.address_positions() {
        if let Some(word) = words.get_mut(entry as usize * 2 + 1) {
            *word = object.image.address(Vaddr(*word)).0;
        }
    }
    words
}

fn words_of(layout: &Layout) -> usize {
    usize::from(layout.link_map.size).div_ceil(8)
}

/// Where an auditor's words of an object begin.
fn cookie_at(layout: &Layout, auditor: u16) -> u16 {
    let before = words_of(layout) + LIBNAME_WORDS + SCOPE_WORDS;
    u16::try_from((before + AUDITOR_WORDS * usize::from(auditor)) * 8).unwrap_or(u16::MAX)
}

/// The object whose link map is at `address`.
///
/// # Safety
/// A link map is there.
#[must_use]
pub unsafe fn object_at(address: u64) -> ObjectId {
    #[expect(clippy::cast_possible_truncation, reason = "an id has 32 bits")]
    // SAFETY: the head stands before the link map.
    ObjectId(unsafe { (address as *const u64).sub(HEAD).read() } as u32)
}

/// The same, and the object.
///
/// # Safety
/// As for [`object_at`]; the object is not unloaded as long as the reference is used.
#[inline]
#[must_use]
pub unsafe fn known_at(address: u64) -> (ObjectId, &'static Object<'static>) {
    // SAFETY: the head stands before the link map, and has the object's place, where it stays.
    unsafe { (object_at(address), &*(address as *const *const Object<'static>).sub(1).read()) }
}

/// What a link map says about an object beyond the object itself.
pub struct Facts<'f> {
    /// Thread-local storage.
    pub tls: &'f tls::Layout,
    /// The namespace.
    pub space: usize,
    /// Whether it was opened at run time.
    pub is_opened: bool,
    /// Whether its definitions are in the global scope.
    pub is_global: bool,
    /// The global scope as an array of link maps, for the program.
    pub global: Option<(u64, u32)>,
    /// The link map of the namespace's first object.
    pub first: u64,
}

impl LinkMaps {
    /// Link maps with room for what this many auditors have of each object.
    #[must_use]
    pub fn for_auditors(auditors: u16) -> Self {
        Self { auditors, ..Self::default() }
    }

    /// Makes a link map for an object, still empty; nothing is done if it has one.
    pub fn add(&mut self, layout: &Layout, id: ObjectId, object: &Object<'_>) {
        if self.get(id).is_some() {
            return;
        }
        let block = Block::new(layout, id, object, self.auditors);
        self.by_address.insert(block.fields().address(), id);
        self.by_object.set(id, Some(block));
    }

    /// Makes a link map for rld in one more namespace.
    pub fn add_shadow(&mut self, layout: &Layout, id: ObjectId, object: &Object<'_>, space: usize) {
        let block = Block::new(layout, id, object, 0);
        self.by_address.insert(block.fields().address(), id);
        self.shadows.insert(space, block);
    }

    /// Forgets an object's link map.
    pub fn remove(&mut self, id: ObjectId) {
        self.by_address.remove(self.address(id));
        self.by_object.clear([id]);
    }

    /// Forgets rld's link map in a namespace.
    pub fn remove_shadow(&mut self, space: usize) {
        if let Some(block) = self.shadows.remove(&space) {
            self.by_address.remove(block.fields().address());
        }
    }

    /// The link map of an object.
    #[must_use]
    pub fn get(&self, id: ObjectId) -> Option<Fields> {
        self.by_object.get(id)?.as_ref().map(|block| block.fields())
    }

    /// The link map of an object in a namespace.
    #[must_use]
    pub fn get_in(&self, space: usize, id: ObjectId, object: &Object<'_>) -> Option<Fields> {
        self.block_in(space, id, object).map(|block| block.fields())
    }

    fn block_in(&self, space: usize, id: ObjectId, object: &Object<'_>) -> Option<&Arc<Block>> {
        let shadow = self.shadows.get(&space).filter(|_| object.role == Role::Loader);
        shadow.or_else(|| self.by_object.get(id)?.as_ref())
    }

    /// Says where an object's thread-local variables lie below the thread pointer; 0 if not there.
    pub fn set_tls_offset(&self, layout: &Layout, id: ObjectId, offset: u64) {
        if let Some(fields) = self.get(id) {
            fields.set(layout.link_map.l_tls_offset, offset);
        }
    }

    /// The address of an object's link map; 0 if it has none.
    #[must_use]
    pub fn address(&self, id: ObjectId) -> u64 {
        self.get(id).map_or(0, |fields| fields.address())
    }

    /// Where an auditor's cookie of an object is; null if there is none.
    #[must_use]
    pub fn cookie(&self, layout: &Layout, id: ObjectId, auditor: u16) -> *mut u64 {
        let known = self.get(id).filter(|_| auditor < self.auditors);
        known.map_or(0, |fields| fields.at(cookie_at(layout, auditor))) as *mut u64
    }

    /// What an auditor wants to know of an object (`LA_FLG_*`).
    #[must_use]
    pub fn audit_flags(&self, layout: &Layout, id: ObjectId, auditor: u16) -> u32 {
        let known = self.get(id).filter(|_| auditor < self.auditors);
        known.and_then(|fields| fields.get(cookie_at(layout, auditor) + 8)).unwrap_or_default()
    }

    /// Notes what an auditor wants to know of an object.
    pub fn set_audit_flags(&self, layout: &Layout, id: ObjectId, auditor: u16, flags: u32) {
        if let Some(fields) = self.get(id).filter(|_| auditor < self.auditors) {
            fields.set(cookie_at(layout, auditor) + 8, flags);
        }
    }

    /// The link map of the first of some objects; 0 if there is none.
    #[must_use]
    pub fn first_of(&self, ids: &[ObjectId]) -> u64 {
        ids.first().map_or(0, |&id| self.address(id))
    }

    /// The object with a link map at `address`.
    #[must_use]
    pub fn object(&self, address: u64) -> Option<ObjectId> {
        self.by_address.get(address)
    }

    /// Fills in a link map, but for its neighbours in the list.
    pub fn fill(&self, layout: &Layout, id: ObjectId, object: &Object<'static>, facts: &Facts<'_>) {
        let Some(block) = self.block_in(facts.space, id, object) else { return };
        block.set_place(object);
        let fields = block.fields();
        let links = &layout.link_map;
        fields.set(links.l_real, self.address(id));
        fields.set(links.l_ns, facts.space as u64);
        fields.set(links.l_loader, object.loader.get().map_or(0, |id| self.address(id)));
        identity(layout, &fields, object);
        if let Some(block) = self.by_object.get(id).and_then(Option::as_ref) {
            fields.set(links.l_origin, block.origin.as_ptr() as u64);
            if let Some(asked) = &block.asked {
                fields.set(links.size.next_multiple_of(8), asked.as_ptr() as u64);
            }
        }
        let section = object.segments.dynamic.map(|section| object.image.address(section.vaddr).0);
        let dynamic = match block.dynamic.is_empty() {
            true => section,
            false => Some(block.dynamic.as_ptr() as u64),
        };
        symbols(layout, &fields, object, dynamic);
        flags(layout, &fields, object, facts);
        thread_local(layout, &fields, facts.tls, id);
        let own = (words_of(layout) + LIBNAME_WORDS) * 8;
        let own = u16::try_from(own).unwrap_or(u16::MAX);
        fields.set(own, fields.address());
        scopes(layout, &fields, facts.global.unwrap_or((fields.at(own), 1)), facts.first);
    }

    /// Links the last objects of a namespace, from a place in its list on, in this order. Where it is not the list's
    /// beginning, what comes before the first of them stays. The lock of the list is held, or nobody reads it yet.
    pub fn link(&self, layout: &Layout, objects: &[Fields], from: usize) {
        let links = &layout.link_map;
        for (index, fields) in objects.iter().enumerate() {
            let neighbour = |at: Option<usize>| {
                at.and_then(|at| objects.get(at)).map_or(0, |fields| fields.address())
            };
            fields.set(links.l_next, neighbour(index.checked_add(1)));
            if index != 0 || from == 0 {
                fields.set(links.l_prev, neighbour(index.checked_sub(1)));
            }
            fields.set(links.l_serial, (from + index) as u64);
        }
    }

    /// An array of link maps and its length, for good: the scope of start-up.
    #[must_use]
    pub fn scope(&self, ids: impl Iterator<Item = ObjectId>) -> (u64, u32) {
        let list: Vec<u64> = ids.map(|id| self.address(id)).collect();
        let count = u32::try_from(list.len()).unwrap_or_default();
        (list.leak().as_ptr() as u64, count)
    }

    /// How many thread-local destructors wait that are an object's code (contract 4).
    #[must_use]
    pub fn pending_destructors(&self, layout: &Layout, id: ObjectId) -> u64 {
        let fields = self.get(id);
        fields.and_then(|it| it.get::<u64>(layout.link_map.l_tls_dtor_count)).unwrap_or_default()
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
    let start = loads.first().map_or(0, |load| page_down(load.vaddr.0));
    let end = loads.last().map_or(0, |load| load.end());
    (object.image.address(Vaddr(start)).0, object.image.address(Vaddr(end)).0)
}

/// The dynamic section's entries and the hash table, which `_dl_addr` of libc walks.
fn symbols(layout: &Layout, fields: &Fields, object: &Object<'static>, section: Option<u64>) {
    let links = &layout.link_map;
    let dynamic = &object.dynamic;
    if let Some(start) = section {
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

fn flags(layout: &Layout, fields: &Fields, object: &Object<'_>, facts: &Facts<'_>) {
    let links = &layout.link_map;
    let is_program = object.role == Role::Program;
    let kind = match (is_program, facts.is_opened) {
        (true, _) => EXECUTABLE,
        (_, true) => LOADED,
        _ => LIBRARY,
    };
    fields.set_bits(links.l_type, kind);
    fields.set_bits(links.l_relocated, 1);
    fields.set_bits(links.l_init_called, 1);
    fields.set_bits(links.l_global, u8::from(facts.is_global));
    fields.set_bits(links.l_main_map, u8::from(is_program));
    fields.set_bits(links.l_contiguous, u8::from(is_contiguous(object)));
    fields.set_bits(links.l_find_object_processed, 1);
    // Where the dynamic section stays as it is, libc adds the load bias itself (contract 8.3).
    fields.set_bits(links.l_ld_readonly, u8::from(!object.relocates_dynamic()));
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
    gaps(&object.segments).next().is_none()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_whatever_was_taken_out() {
        let mut addresses = Addresses::default();
        let all: Vec<_> = (1..200u32).map(|id| (u64::from(id) * 0x4f0, ObjectId(id))).collect();
        all.iter().for_each(|&(address, id)| addresses.insert(address, id));
        addresses.remove(0);
        addresses.remove(7);
        let is_left = |id: ObjectId| id.0.is_multiple_of(3);
        for &(address, _) in all.iter().filter(|(_, id)| !is_left(*id)) {
            addresses.remove(address);
        }
        for &(address, id) in &all {
            assert_eq!(addresses.get(address), is_left(id).then_some(id));
        }
        assert_eq!(addresses.count, all.iter().filter(|(_, id)| is_left(*id)).count());
        Addresses::default().remove(5);
    }
}
