//! Segments are what can be mapped; the plan of a mapping covers its reservation without overlap.

use rld::addr::{PAGE, Vaddr, page_down, page_up};
use rld::elf::Table;
use rld::elf::header::Kind;
use rld::elf::segment::{Segments, USER_END};
use rld::image::Plan;

/// The input is a program header table, of a file of 16 MiB.
pub fn check(bytes: &[u8]) {
    let file_size = 1 << 24;
    if let Ok(segments) = Segments::parse(Table::new(bytes), file_size) {
        check_segments(&segments, file_size);
    }
}

/// What a parsed table promises.
pub fn check_segments(segments: &Segments, file_size: u64) {
    let mut end = 0;
    for load in &segments.loads {
        assert!(load.vaddr.0 >= end && load.filesz <= load.memsz, "{load:?}");
        assert!(load.filesz == 0 || load.offset + load.filesz <= file_size, "{load:?}");
        end = load.vaddr.0.checked_add(load.memsz).unwrap();
        assert!(end <= USER_END);
        assert_eq!(load.end(), end);
        assert!(load.holds(load.vaddr, load.memsz) && !load.holds(load.vaddr, load.memsz + 1));
    }
    let in_file =
        |vaddr: Vaddr, size| segments.loads.iter().any(|load| load.holds_in_file(vaddr, size));
    if let Some(tls) = segments.tls {
        assert!(tls.align.is_power_of_two() && tls.skew < tls.align && tls.filesz <= tls.memsz);
        // The image is copied into each thread's block.
        assert!(tls.filesz == 0 || in_file(tls.image, tls.filesz), "{tls:?}");
        super::tls::check_segments(&[tls; 3], 1664);
    }
    if let Some(relro) = segments.relro {
        // These pages change their protection: no others than the object's own may.
        let end = page_down(relro.vaddr.0.saturating_add(relro.size));
        let pages = page_down(relro.vaddr.0)..end;
        let own = segments.loads.iter().any(|load| {
            page_down(load.vaddr.0) <= pages.start && Some(pages.end) <= page_up(load.end())
        });
        assert!(own || pages.is_empty(), "{relro:?}");
    }
    for kind in [Kind::Fixed, Kind::Shared] {
        check_plan(&Plan::new(kind, segments), segments);
    }
}

fn check_plan(plan: &Plan, segments: &Segments) {
    let whole = plan.start..plan.start + plan.size;
    assert_eq!((whole.start, whole.end), segments.extent());
    assert_eq!(plan.pieces.len(), segments.loads.len());
    assert!(plan.align.is_power_of_two() && plan.align >= PAGE);
    let mut pages = Vec::new();
    for (piece, load) in plan.pieces.iter().zip(&segments.loads) {
        let file = piece.file.start..piece.file.start + piece.file.size;
        let zero = piece.zero.start..piece.zero.start + piece.zero.size;
        assert!(file.end == zero.start, "{piece:?}");
        // Every byte of the segment has its page, and file bytes have their place in the file.
        assert!(load.memsz == 0 || (file.start <= load.vaddr.0 && zero.end >= load.end()));
        assert!(load.filesz == 0 || file.end >= load.file_end());
        let into_page = load.vaddr.0 - file.start;
        assert!(load.filesz == 0 || piece.offset + into_page == load.offset, "{piece:?}");
        let (from, to) = piece.clear;
        assert!(from <= to && to - from < PAGE, "{piece:?}");
        assert!(from == to || (from == load.file_end() && to <= file.end && to <= load.end()));
        // What is zero in memory is cleared, or lies in a page of zeros.
        assert!(load.filesz == 0 || to == load.end() || to == file.end, "{piece:?}");
        pages.extend([file, zero]);
    }
    pages.extend(plan.gaps.iter().map(|gap| gap.start..gap.start + gap.size));
    pages.retain(|pages| !pages.is_empty());
    pages.sort_unstable_by_key(|pages| pages.start);
    let mut covered = whole.start;
    for pages in &pages {
        assert!(pages.start % PAGE == 0 && pages.end % PAGE == 0);
        assert_eq!(pages.start, covered, "overlap or hole in {plan:x?}");
        covered = pages.end;
    }
    assert_eq!(covered, whole.end, "{plan:x?}");
}
