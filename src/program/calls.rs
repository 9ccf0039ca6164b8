//! Initialisers that are still to be called, one after the other, for a caller in which no frame of Rust's stands while
//! they run: an initialiser may throw.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use super::process::Process;
use crate::addr::ObjectId;
use crate::init;
use crate::object::Object;
use crate::trace::{self, Event, Function, Topics};

/// The initialisers of objects, dependencies first.
pub struct Calls {
    /// The objects that are left; the last one is the next.
    objects: Vec<(ObjectId, Arc<Object<'static>>)>,
    /// How many functions of the next object were called; `None` before it is looked at.
    called: Option<usize>,
    /// When they began to be called.
    since: u64,
}

impl Calls {
    /// Nothing to call.
    #[must_use]
    pub const fn none() -> Self {
        Self { objects: Vec::new(), called: None, since: 0 }
    }

    /// The initialisers of `order`, in that order.
    #[must_use]
    pub fn new(process: &Process, order: &[ObjectId]) -> Self {
        let objects = &process.world().map.objects;
        let share = |&id: &ObjectId| Some((id, objects.share(id)?));
        Self { objects: order.iter().rev().filter_map(share).collect(), ..Self::none() }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The function to call next. The caller holds the loader's lock, but under musl.
    pub fn next(&mut self, process: &Process) -> Option<u64> {
        while let Some((id, object)) = self.objects.last() {
            let called = match self.called {
                Some(called) => called,
                None => {
                    let done = match &process.facts.musl {
                        Some(musl) => !musl.constructors.begin(*id, object),
                        None => {
                            let life = process.world().life(*id);
                            life.is_none_or(|it| it.initialised.swap(true, Ordering::AcqRel))
                        }
                    };
                    if done {
                        usize::MAX
                    } else {
                        let (object, function) = (object.label(), Function::Initialiser);
                        trace::tell(Topics::CALLS, || Event::CallBegins { object, function });
                        self.since = trace::now();
                        0
                    }
                }
            };
            if let Some(function) = init::initialiser(object, called) {
                self.called = Some(called + 1);
                trace::flush();
                return Some(function.0);
            }
            if called != usize::MAX {
                let (object, function) = (object.label(), Function::Initialiser);
                let since = self.since;
                trace::tell(Topics::CALLS, || Event::CallEnds { object, function, since });
                if let Some(musl) = &process.facts.musl {
                    musl.constructors.end(*id);
                }
            }
            self.objects.pop();
            self.called = None;
        }
        None
    }
}
