//! Tasks of pages, one step at a time: between any two effects another task may go on, or its page
//! may be gone. Time passes only here.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::chance::Chance;

/// Whose task it is: a page's number.
pub type Owner = usize;

struct Task {
    owner: Owner,
    wakes_at: u64,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

/// Runs what is spawned, in an order that chance decides.
#[derive(Default)]
pub struct Tasks {
    running: RefCell<Vec<Task>>,
    spawned: RefCell<Vec<Task>>,
    now: Cell<u64>,
    sleeps_until: Cell<u64>,
}

impl Tasks {
    pub fn starting_at(now: u64) -> Self {
        Self { now: Cell::new(now), ..Self::default() }
    }

    /// Milliseconds since the epoch.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    pub fn pass(&self, milliseconds: u64) {
        self.now.set(self.now.get() + milliseconds);
    }

    pub fn spawn(&self, owner: Owner, future: impl Future<Output = ()> + 'static) {
        let task = Task { owner, wakes_at: 0, future: Box::pin(future) };
        self.spawned.borrow_mut().push(task);
    }

    /// The page is gone, wherever its tasks are.
    pub fn end(&self, owner: Owner) {
        self.adopt();
        let (ended, left) = std::mem::take(&mut *self.running.borrow_mut())
            .into_iter()
            .partition(|task| task.owner == owner);
        *self.running.borrow_mut() = left;
        // Locks are given back here, when nothing is borrowed.
        drop::<Vec<Task>>(ended);
    }

    fn adopt(&self) {
        self.running.borrow_mut().append(&mut self.spawned.borrow_mut());
    }

    /// One step of one task; time goes on to the next that wakes where all sleep. False when none
    /// wakes before `until`.
    pub fn step(&self, chance: &mut Chance, until: u64) -> bool {
        self.adopt();
        let awake = |now: u64| -> Vec<usize> {
            let running = self.running.borrow();
            (0..running.len()).filter(|at| running[*at].wakes_at <= now).collect()
        };
        let mut ready = awake(self.now());
        if ready.is_empty() {
            let next = self.running.borrow().iter().map(|task| task.wakes_at).min();
            let Some(next) = next.filter(|next| *next <= until) else { return false };
            self.now.set(next);
            ready = awake(next);
        }
        self.pass(1 + chance.next() % 20);
        let at = ready[chance.below(ready.len())];
        let mut task = self.running.borrow_mut().swap_remove(at);
        self.sleeps_until.set(0);
        let mut context = Context::from_waker(Waker::noop());
        if task.future.as_mut().poll(&mut context) == Poll::Pending {
            task.wakes_at = self.sleeps_until.get();
            self.running.borrow_mut().push(task);
        }
        true
    }

    /// Lets others go on.
    pub fn breath(&self) -> impl Future<Output = ()> + use<> {
        let mut is_over = false;
        std::future::poll_fn(move |_| {
            if std::mem::replace(&mut is_over, true) { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    pub fn sleep(self: &Rc<Self>, milliseconds: u64) -> impl Future<Output = ()> + use<> {
        let tasks = Rc::clone(self);
        let until = self.now() + milliseconds;
        std::future::poll_fn(move |_| {
            if tasks.now() >= until {
                return Poll::Ready(());
            }
            tasks.sleeps_until.set(until);
            Poll::Pending
        })
    }

    /// Waits for a lock; it is given back when the guard goes, with its page at the latest.
    pub fn lock(self: &Rc<Self>, lock: &Rc<Lock>) -> impl Future<Output = Guard> + use<> {
        let tasks = Rc::clone(self);
        let lock = Rc::clone(lock);
        std::future::poll_fn(move |_| {
            if lock.0.replace(true) {
                tasks.sleeps_until.set(tasks.now() + 10);
                return Poll::Pending;
            }
            Poll::Ready(Guard(Rc::clone(&lock)))
        })
    }
}

#[derive(Default)]
pub struct Lock(Cell<bool>);

pub struct Guard(Rc<Lock>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.set(false);
    }
}
