//! What people, disks, strangers and servers do; and a run of it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use mantle_room_state::{
    DeviceId, DeviceKeys, OutboundSession, OwnDevice, TypeAndKey, encrypt_state, room_key_content,
};
use serde_json::{Map, Value, json};
use vodozemac::megolm::MegolmMessage;
use vodozemac::{Curve25519PublicKey, Curve25519SecretKey, Ed25519SecretKey};

use crate::chance::Chance;
use crate::device::published;
use crate::disk::Fault;
use crate::page::{Device, Page, Sabotage, World};
use crate::server::{ENCRYPTED, Lies, Room, Server};
use crate::tasks::Tasks;
use crate::truth::{CANARY, Name, Truth};

pub const FLAG: &str = "io.element.msc4362.encrypt_state_events";
const START: u64 = 1_700_000_000_000;
pub const ALICE: &str = "@alice:example.org";
pub const BOB: &str = "@bob:example.org";
pub const CAROL: &str = "@carol:example.org";
pub const MALLORY: &str = "@mallory:example.org";
const ROOMS: [(&str, &str); 2] = [("!one:example.org", "10"), ("!two:example.org", "11")];
/// What is refused so long after a fault of disk or network is no wonder.
const PATIENCE: u64 = 120_000;
/// Steps of a run; a run that needs more does not end.
const MAX_STEPS: usize = 60_000;

/// What may happen in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum People {
    /// Nobody means harm: disks, networks and tabs do.
    Ordinary,
    /// Strangers, members and the homeserver cheat too.
    Hostile,
    /// A member and a device that the homeserver made up hand out others' keys as their own.
    Squatters,
}

/// One thing that happens. Numbers choose among what is there then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Someone names a room from one of their tabs.
    Names {
        page: usize,
        room: usize,
    },
    /// The same from all tabs of a device at once.
    NamesInAllTabs {
        device: usize,
        room: usize,
    },
    /// A moderator redacts a room's name.
    Redacts {
        page: usize,
        room: usize,
    },
    /// A further tab.
    OpensTab {
        device: usize,
    },
    /// A tab is gone in the midst of whatever it does.
    Crashes {
        page: usize,
    },
    /// All tabs of a device are, and come back with the browser.
    Restarts {
        device: usize,
    },
    /// A backup is made of a profile.
    Copies {
        device: usize,
    },
    /// The browser ends, the profile becomes what the backup has, and the browser starts.
    Restores {
        device: usize,
    },
    /// Someone signs in once more.
    SignsIn {
        user: usize,
    },
    /// Carol comes, or goes.
    Invited {
        room: usize,
    },
    Joins {
        room: usize,
    },
    Leaves {
        room: usize,
    },
    /// The disk of a device.
    DiskFails {
        device: usize,
        writes: u32,
    },
    DiskSaysItFails {
        device: usize,
        writes: u32,
    },
    DiskFull {
        device: usize,
    },
    DiskSlow {
        device: usize,
        steps: usize,
    },
    DiskWell {
        device: usize,
    },
    /// Requests or answers get lost.
    NetworkLoses {
        requests: u32,
        answers: u32,
    },
    /// Nothing for a while.
    Waits {
        seconds: u64,
    },
    /// The homeserver, to one user.
    ServerIsLate {
        user: usize,
    },
    ServerRedates {
        user: usize,
        by: i64,
    },
    ServerWithholds {
        user: usize,
        room: usize,
    },
    ServerReplays {
        user: usize,
        room: usize,
        is_state: bool,
    },
    ServerRollsBack {
        user: usize,
        room: usize,
    },
    ServerForgesClear {
        user: usize,
        room: usize,
        is_state: bool,
    },
    ServerMovesRoom {
        user: usize,
    },
    ServerUnflags {
        user: usize,
        room: usize,
    },
    ServerIsHonest {
        user: usize,
    },
    /// Somebody with no room in common sends a word about a room with such an id.
    StrangerTells {
        user: usize,
        length: usize,
    },
    /// A member without power.
    MemberForges {
        user: usize,
        room: usize,
    },
    MemberListsKeys {
        device: usize,
    },
    /// She gives a device the keys she has of others, as her own.
    MemberHandsOutKeys {
        device: usize,
    },
    /// The same to a device that signs in only now, before anybody else gives it any.
    MemberGreets {
        user: usize,
    },
    /// A device of Alice's that the homeserver made up does.
    MadeUpDeviceHandsOutKeys {
        device: usize,
    },
    MemberFills {
        user: usize,
        room: usize,
        slots: usize,
        bytes: usize,
    },
}

impl Act {
    fn ordinary(chance: &mut Chance) -> Self {
        let (n, room) = (chance.below(64), chance.below(ROOMS.len()));
        match chance.below(46) {
            0..=10 => Self::Names { page: n, room },
            11..=14 => Self::NamesInAllTabs { device: n, room },
            15..=16 => Self::Redacts { page: n, room },
            17..=19 => Self::OpensTab { device: n },
            20..=22 => Self::Crashes { page: n },
            23..=24 => Self::Restarts { device: n },
            25..=26 => Self::SignsIn { user: n },
            27 => Self::Invited { room },
            28..=29 => Self::Joins { room },
            30 => Self::Leaves { room },
            31..=33 => Self::DiskFails { device: n, writes: 1 + chance.below(3) as u32 },
            34 => Self::DiskSaysItFails { device: n, writes: 1 + chance.below(3) as u32 },
            35 => Self::DiskFull { device: n },
            36 => Self::DiskSlow { device: n, steps: chance.below(9) },
            37..=38 => Self::DiskWell { device: n },
            39 => Self::NetworkLoses {
                requests: chance.below(2) as u32,
                answers: chance.below(2) as u32,
            },
            40 => Self::Copies { device: n },
            41..=42 => Self::Restores { device: n },
            _ => Self::Waits { seconds: 1 + chance.next() % 90 },
        }
    }

    /// Acts that go together; a run has some of these kinds only, so that each has its runs in which
    /// nothing else covers what it does.
    const fn kind(self) -> u32 {
        match self {
            Self::Redacts { .. } => 0,
            Self::OpensTab { .. } | Self::Crashes { .. } | Self::Restarts { .. } => 1,
            Self::SignsIn { .. } => 2,
            Self::Invited { .. } | Self::Joins { .. } | Self::Leaves { .. } => 3,
            Self::DiskFails { .. }
            | Self::DiskSaysItFails { .. }
            | Self::DiskFull { .. }
            | Self::DiskSlow { .. }
            | Self::DiskWell { .. } => 4,
            Self::NetworkLoses { .. } => 5,
            Self::StrangerTells { .. } => 6,
            Self::MemberForges { .. } | Self::MemberFills { .. } => 7,
            Self::MemberListsKeys { .. } => 8,
            Self::ServerIsLate { .. }
            | Self::ServerRedates { .. }
            | Self::ServerWithholds { .. } => 9,
            Self::ServerReplays { .. }
            | Self::ServerRollsBack { .. }
            | Self::ServerMovesRoom { .. } => 10,
            Self::ServerForgesClear { .. } => 11,
            Self::Copies { .. } | Self::Restores { .. } => 12,
            Self::ServerUnflags { .. } => 13,
            Self::MemberHandsOutKeys { .. }
            | Self::MemberGreets { .. }
            | Self::MadeUpDeviceHandsOutKeys { .. } => 14,
            Self::Names { .. }
            | Self::NamesInAllTabs { .. }
            | Self::Waits { .. }
            | Self::ServerIsHonest { .. } => 31,
        }
    }

    fn hostile(chance: &mut Chance) -> Self {
        const BY: [i64; 5] =
            [-40 * 24 * 3_600_000, -600_001, 599_000, 3_600_000, 40 * 24 * 3_600_000];
        let (user, room) = (chance.below(64), chance.below(ROOMS.len()));
        let is_state = chance.one_in(2);
        match chance.below(16) {
            14..=15 => Self::squats(chance),
            0 => Self::ServerIsLate { user },
            1 => Self::ServerRedates { user, by: BY[chance.below(BY.len())] },
            2 => Self::ServerWithholds { user, room },
            3 => Self::ServerReplays { user, room, is_state },
            4 => Self::ServerRollsBack { user, room },
            5 => Self::ServerForgesClear { user, room, is_state },
            6 => Self::ServerMovesRoom { user },
            7 => Self::ServerUnflags { user, room },
            8 | 9 => Self::ServerIsHonest { user },
            10 => Self::StrangerTells { user, length: [20, 250, 400, 9_000][chance.below(4)] },
            11 => Self::MemberForges { user, room },
            12 => Self::MemberListsKeys { device: user },
            _ => Self::MemberFills {
                user,
                room,
                slots: [3, 40, 90][chance.below(3)],
                bytes: [100, 14_000][chance.below(2)],
            },
        }
    }

    fn squats(chance: &mut Chance) -> Self {
        let number = chance.below(64);
        match chance.below(4) {
            0 => Self::MemberHandsOutKeys { device: number },
            1 => Self::MadeUpDeviceHandsOutKeys { device: number },
            _ => Self::MemberGreets { user: number },
        }
    }

    /// Whether everyone still sees every name as it was set.
    const fn leaves_names(self) -> bool {
        !self.is_hostile() || matches!(self.kind(), 6 | 8 | 14)
    }

    /// Whether each Mantle knows what replaced what, and nobody but Mantles hands out keys.
    const fn leaves_newcomers(self) -> bool {
        !matches!(self.kind(), 9 | 10 | 14)
    }

    pub const fn is_hostile(self) -> bool {
        matches!(
            self,
            Self::ServerIsLate { .. }
                | Self::ServerRedates { .. }
                | Self::ServerWithholds { .. }
                | Self::ServerReplays { .. }
                | Self::ServerRollsBack { .. }
                | Self::ServerForgesClear { .. }
                | Self::ServerMovesRoom { .. }
                | Self::ServerUnflags { .. }
                | Self::StrangerTells { .. }
                | Self::MemberForges { .. }
                | Self::MemberListsKeys { .. }
                | Self::MemberFills { .. }
                | Self::MemberHandsOutKeys { .. }
                | Self::MemberGreets { .. }
                | Self::MadeUpDeviceHandsOutKeys { .. }
        )
    }
}

/// What a seed stands for: each act and how many steps go by before the next.
pub fn plan(seed: u64, kind: People) -> Vec<(Act, usize)> {
    let mut chance = Chance::new(seed);
    let length = 6 + chance.below(24);
    let mut kinds = chance.next() | 1 << 31;
    if kinds >> 12 & 1 == 1 {
        // A profile that was set back knows no more of a room's flag than a new device.
        kinds &= !(1 << 13);
    }
    if kind == People::Squatters {
        kinds |= 1 << 14;
    }
    let mut acts = Vec::new();
    while acts.len() < length {
        let act = match kind {
            People::Hostile if chance.one_in(3) => Act::hostile(&mut chance),
            People::Squatters if chance.one_in(3) => Act::squats(&mut chance),
            _ => Act::ordinary(&mut chance),
        };
        if kinds >> act.kind() & 1 == 0 {
            continue;
        }
        // Mostly soon, so that things overlap.
        let steps = if chance.one_in(4) { 150 } else { 25 };
        acts.push((act, chance.below(steps)));
    }
    acts
}

/// What a run came to.
pub struct Report {
    pub broken: Vec<String>,
    pub log: Vec<String>,
    pub steps: usize,
}

pub struct Run {
    world: Rc<World>,
    devices: Vec<Rc<Device>>,
    pages: BTreeMap<usize, Rc<Page>>,
    made: usize,
    names: usize,
    chance: Chance,
    steps: usize,
    /// Mallory's keys, where she is a member.
    mallory: Value,
    /// Those of a device of Alice's that nobody has.
    made_up: Value,
    leaves_names: bool,
    leaves_newcomers: bool,
    is_restored: bool,
}

/// What newcomers may read in a room: each seed has another pair.
fn visibility(seed: u64, room: usize) -> &'static str {
    let all = ["shared", "joined", "world_readable", "invited"];
    all[(usize::try_from(seed % 4).unwrap() + room) % all.len()]
}

/// Keys as a device publishes them, from chance, with its own signature.
fn device_keys(chance: &mut Chance, user: &str, id: &str) -> (Value, Ed25519SecretKey) {
    let mut bytes = || {
        let mut all = [0; 32];
        for part in all.chunks_mut(8) {
            part.copy_from_slice(&chance.next().to_le_bytes());
        }
        all
    };
    let curve25519 = Curve25519PublicKey::from(&Curve25519SecretKey::from_slice(&bytes()));
    let curve25519 = curve25519.to_base64();
    let key = Ed25519SecretKey::from_slice(&bytes());
    let keys = published(user, id, &curve25519, &key.public_key().to_base64(), |signed| {
        key.sign(signed).to_base64()
    });
    (keys, key)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Run {
    fn new(seed: u64, sabotage: Sabotage, acts: &[(Act, usize)]) -> Self {
        let is_hostile = acts.iter().any(|(act, _)| act.is_hostile());
        // Whose Element does not sign has names that whoever gives the key first takes away.
        let signs = seed % 4 != 3 || acts.iter().any(|(act, _)| act.kind() == 14);
        let mut server = Server::default();
        for (at, (room_id, version)) in ROOMS.into_iter().enumerate() {
            let visibility = visibility(seed, at);
            server.rooms.insert(
                room_id.to_owned(),
                Room { version, events: Vec::new(), state: BTreeMap::new() },
            );
            let mut users = Map::new();
            users.insert(ALICE.to_owned(), json!(100));
            users.insert(BOB.to_owned(), json!(50));
            users.insert(CAROL.to_owned(), json!(50));
            // Where the outer type asks for nothing, a member without power sends it.
            let events = if is_hostile { json!({ENCRYPTED: 0}) } else { json!({}) };
            let state = [
                ("m.room.create", "", json!({"room_version": version})),
                ("m.room.member", ALICE, json!({"membership": "join"})),
                ("m.room.power_levels", "", json!({"users": users, "events": events})),
                ("m.room.encryption", "", json!({"algorithm": "m.megolm.v1.aes-sha2", FLAG: true})),
                ("m.room.history_visibility", "", json!({"history_visibility": visibility})),
                ("m.room.member", BOB, json!({"membership": "join"})),
            ];
            for (event_type, state_key, content) in state {
                let sender = if state_key.is_empty() { ALICE } else { state_key };
                let event = json!({"type": event_type, "state_key": state_key, "sender": sender,
                    "content": content});
                server.add(room_id, START - 1_000_000, event);
            }
            if is_hostile {
                let event = json!({"type": "m.room.member", "state_key": MALLORY,
                    "sender": MALLORY, "content": {"membership": "join"}});
                server.add(room_id, START - 900_000, event);
            }
        }
        let world = Rc::new(World {
            tasks: Rc::new(Tasks::starting_at(START)),
            server: RefCell::new(server),
            truth: RefCell::new(Truth::default()),
            lost: Cell::new((0, 0)),
            lost_at: Cell::new(None),
            signs,
            sabotage,
        });
        let mut run = Self {
            world,
            devices: Vec::new(),
            pages: BTreeMap::new(),
            made: 0,
            names: 0,
            chance: Chance::new(seed ^ 0x5eed),
            steps: 0,
            mallory: Value::Null,
            made_up: Value::Null,
            leaves_names: acts.iter().all(|(act, _)| act.leaves_names()),
            leaves_newcomers: acts.iter().all(|(act, _)| act.leaves_newcomers()),
            is_restored: false,
        };
        if is_hostile {
            run.mallory = device_keys(&mut run.chance, MALLORY, "MALLORY").0;
            let mut server = run.world.server.borrow_mut();
            server.publish_device(MALLORY, "MALLORY", Some(run.mallory.clone()));
        }
        run.sign_in(ALICE);
        run.sign_in(BOB);
        run.steps(200);
        run
    }

    fn sign_in(&mut self, user: &str) {
        let id = format!("{}{}", &user[1..2], self.devices.len());
        let (keys, key) = device_keys(&mut self.chance, user, &id);
        let device = Rc::new(Device::new(user, &id, keys.clone(), key));
        self.world.server.borrow_mut().publish_device(user, &id, Some(keys));
        self.devices.push(device);
        self.open(self.devices.len() - 1);
    }

    fn open(&mut self, device: usize) {
        self.made += 1;
        let page = Page::open(&self.world, &self.devices[device], self.made);
        self.pages.insert(self.made, page);
    }

    fn close(&mut self, owner: usize) {
        self.world.tasks.end(owner);
        self.pages.remove(&owner);
    }

    fn page(&self, number: usize) -> Option<Rc<Page>> {
        self.pages.values().nth(number % self.pages.len().max(1)).cloned()
    }

    fn device(&self, number: usize) -> &Rc<Device> {
        &self.devices[number % self.devices.len()]
    }

    fn users(&self) -> Vec<String> {
        let mut users: Vec<String> =
            self.devices.iter().map(|device| device.user.clone()).collect();
        users.sort();
        users.dedup();
        users
    }

    fn user(&self, number: usize) -> String {
        let users = self.users();
        users[number % users.len()].clone()
    }

    fn steps(&mut self, count: usize) {
        let until = self.world.tasks.now() + 3_000;
        for _ in 0..count {
            self.steps += 1;
            if !self.world.tasks.step(&mut self.chance, until) {
                break;
            }
        }
    }

    /// Until nothing happens but syncs that bring nothing, for so long.
    fn passes(&mut self, milliseconds: u64) {
        let until = self.world.tasks.now() + milliseconds;
        while self.world.tasks.now() < until {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                self.breaks("the run does not come to rest".to_owned());
                return;
            }
            if !self.world.tasks.step(&mut self.chance, until) {
                return;
            }
        }
    }

    fn breaks(&self, what: String) {
        self.world.truth.borrow_mut().breaks(what);
    }

    fn now(&self) -> u64 {
        self.world.tasks.now()
    }

    fn lies(&self, user: usize, change: impl FnOnce(&mut Lies)) {
        let user = self.user(user);
        change(self.world.server.borrow_mut().lies.entry(user).or_default());
    }

    /// A current encrypted name.
    fn current(&self, room_id: &str) -> Option<Value> {
        self.world.server.borrow().state(room_id, ENCRYPTED, "m.room.name:").cloned()
    }

    fn new_name(&mut self, room_id: &str, is_forged: bool) -> String {
        self.names += 1;
        let name = format!("{CANARY}{}", self.names);
        let known = Name { room_id: room_id.to_owned(), is_forged };
        self.world.truth.borrow_mut().names.insert(name.clone(), known);
        name
    }

    fn names(&mut self, page: &Rc<Page>, room_id: &str) -> Option<String> {
        if !page.element.borrow().joined.contains(room_id)
            || self.world.server.borrow().membership(room_id, &page.device.user) != "join"
        {
            return None;
        }
        let name = self.new_name(room_id, false);
        // From here on, not from when the page comes to it: others may be at work before it.
        let moves_before = self.world.server.borrow().moves(room_id, &page.device.user);
        let (page, world) = (Rc::clone(page), Rc::clone(&self.world));
        let (room_id, given) = (room_id.to_owned(), name.clone());
        self.world.tasks.spawn(page.owner, async move {
            let begun = world.tasks.now();
            let outcome = page.sets_name(&room_id, &given).await;
            let is_told = |at: Option<u64>| at.is_some_and(|at| at + PATIENCE > begun);
            let disk = page.device.disk.borrow();
            let is_excused = is_told(disk.failed_at)
                || is_told(world.lost_at.get())
                // Whoever left meanwhile was refused, also where she has come back.
                || world.server.borrow().moves(&room_id, &page.device.user) > moves_before;
            let mut truth = world.truth.borrow_mut();
            truth.log.push(format!("{given} in {room_id}: {}", outcome.is_ok()));
            if let Err(error) = outcome
                && !is_excused
            {
                let misfits: Vec<&String> = disk.misfits.iter().take(2).collect();
                truth.breaks(format!(
                    "{} could not name {room_id}: {error} {misfits:?}",
                    page.who()
                ));
            }
        });
        Some(name)
    }

    fn acts(&mut self, act: Act) {
        self.world.truth.borrow_mut().log.push(format!("{act:?}"));
        let now = self.now();
        let room = |number: usize| ROOMS[number % ROOMS.len()].0;
        match act {
            Act::Names { page, room: at } => {
                if let Some(page) = self.page(page) {
                    self.names(&page, room(at));
                }
            }
            Act::NamesInAllTabs { device, room: at } => {
                let id = self.device(device).id.clone();
                let tabs: Vec<Rc<Page>> =
                    self.pages.values().filter(|page| page.device.id == id).cloned().collect();
                for page in tabs {
                    self.names(&page, room(at));
                }
            }
            Act::Redacts { page, room: at } => {
                let Some(page) = self.page(page) else { return };
                let Some(event) = self.current(room(at)) else { return };
                let event_id = text(&event["event_id"]);
                let user = &page.device.user;
                if self.world.server.borrow().membership(room(at), user) != "join" {
                    return;
                }
                self.world.server.borrow_mut().redact(room(at), now, user, &event_id);
                self.world.truth.borrow_mut().redacted.insert(event_id);
            }
            Act::OpensTab { device } => self.open(device % self.devices.len()),
            Act::Crashes { page } => {
                if let Some(page) = self.page(page) {
                    self.close(page.owner);
                }
            }
            Act::Restarts { device } => {
                self.restarts(device % self.devices.len(), |_| {});
            }
            Act::Copies { device } => {
                let device = self.device(device);
                device.copy.replace(Some(device.disk.borrow().entries.clone()));
            }
            Act::Restores { device } => {
                self.is_restored = true;
                self.restarts(device % self.devices.len(), |device| {
                    if let Some(copy) = &*device.copy.borrow() {
                        device.disk.borrow_mut().entries.clone_from(copy);
                    }
                });
            }
            Act::SignsIn { user } => {
                if self.devices.len() < 6 {
                    let user = [ALICE, BOB, CAROL][user % 3];
                    self.sign_in(user);
                }
            }
            Act::Invited { room: at } => self.moves(room(at), ALICE, &["", "leave"], "invite"),
            Act::Joins { room: at } => {
                self.moves(room(at), CAROL, &["", "leave", "invite"], "join");
            }
            Act::Leaves { room: at } => self.moves(room(at), CAROL, &["join", "invite"], "leave"),
            Act::DiskFails { device, writes } => {
                self.device(device).disk.borrow_mut().fault = Fault::Fails(writes);
            }
            Act::DiskSaysItFails { device, writes } => {
                self.device(device).disk.borrow_mut().fault = Fault::SaysItFails(writes);
            }
            Act::DiskFull { device } => {
                let mut disk = self.device(device).disk.borrow_mut();
                disk.fault = Fault::Full;
            }
            Act::DiskSlow { device, steps } => {
                self.device(device).disk.borrow_mut().slowness = steps;
            }
            Act::DiskWell { device } => {
                let mut disk = self.device(device).disk.borrow_mut();
                (disk.fault, disk.slowness) = (Fault::None, 0);
            }
            Act::NetworkLoses { requests, answers } => self.world.lost.set((requests, answers)),
            Act::Waits { seconds } => self.passes(seconds * 1_000),
            Act::ServerIsLate { user } => self.lies(user, |lies| lies.is_late = true),
            Act::ServerRedates { user, by } => self.lies(user, |lies| lies.redates = by),
            Act::ServerWithholds { user, room: at } => {
                let Some(event) = self.current(room(at)) else { return };
                self.lies(user, |lies| lies.withheld.extend([text(&event["event_id"])]));
            }
            Act::ServerReplays { user, room: at, is_state } => {
                let Some(mut event) = self.old(room(at)) else { return };
                event["event_id"] = json!(format!("$replay{}:example.org", self.made + self.names));
                event["origin_server_ts"] = json!(now);
                self.inject(user, room(at), is_state, event);
            }
            Act::ServerRollsBack { user, room: at } => {
                let Some(event) = self.old(room(at)) else { return };
                self.inject(user, room(at), true, event);
            }
            Act::ServerForgesClear { user, room: at, is_state } => {
                let name = self.new_name(room(at), true);
                let event = json!({"type": "m.room.name", "state_key": "", "sender": ALICE,
                    "content": {"name": name}, "event_id": format!("${name}"),
                    "origin_server_ts": now});
                self.inject(user, room(at), is_state, event);
            }
            Act::ServerMovesRoom { user } => {
                let Some(event) = self.current(ROOMS[0].0) else { return };
                self.inject(user, ROOMS[1].0, true, event);
            }
            Act::ServerUnflags { user, room: at } => {
                let event = json!({"type": "m.room.encryption", "state_key": "", "sender": ALICE,
                    "content": {"algorithm": "m.megolm.v1.aes-sha2"}, "event_id": "$unflagged",
                    "origin_server_ts": now});
                self.inject(user, room(at), true, event);
            }
            Act::ServerIsHonest { user } => self.lies(user, |lies| *lies = Lies::default()),
            Act::StrangerTells { user, length } => self.stranger_tells(user, length),
            Act::MemberForges { user, room: at } => {
                let name = self.new_name(room(at), true);
                self.member_sends(user, room(at), "m.room.name", &json!({ "name": name }));
            }
            Act::MemberListsKeys { device } => {
                // All of it as the device has published it: the ids of devices are anyone's.
                let (id, keys) = (self.device(device).id.clone(), self.device(device).keys.clone());
                let mut server = self.world.server.borrow_mut();
                server.publish_device(MALLORY, &id, Some(keys));
            }
            Act::MemberHandsOutKeys { device } => {
                self.hands_out((MALLORY, "MALLORY"), &self.mallory.clone(), device);
            }
            Act::MemberGreets { user } => {
                if self.devices.len() < 6 {
                    self.sign_in([ALICE, BOB, CAROL][user % 3]);
                    let newest = self.devices.len() - 1;
                    self.hands_out((MALLORY, "MALLORY"), &self.mallory.clone(), newest);
                }
            }
            Act::MadeUpDeviceHandsOutKeys { device } => {
                if self.made_up.is_null() {
                    self.made_up = device_keys(&mut self.chance, ALICE, "MADEUP").0;
                    let mut server = self.world.server.borrow_mut();
                    server.publish_device(ALICE, "MADEUP", Some(self.made_up.clone()));
                }
                self.hands_out((ALICE, "MADEUP"), &self.made_up.clone(), device);
            }
            Act::MemberFills { user, room: at, slots, bytes } => {
                for slot in 0..slots {
                    let content = json!({"x": "y".repeat(bytes)});
                    self.member_sends(user, room(at), &format!("org.example.t{slot}"), &content);
                }
            }
        }
    }

    /// The browser ends and starts again, with what was done to its profile meanwhile.
    fn restarts(&mut self, number: usize, meanwhile: impl FnOnce(&Device)) {
        let device = Rc::clone(&self.devices[number]);
        let owners: Vec<usize> = self
            .pages
            .values()
            .filter(|page| page.device.id == device.id)
            .map(|page| page.owner)
            .collect();
        owners.into_iter().for_each(|owner| self.close(owner));
        meanwhile(&device);
        device.run.set(device.run.get() + 1);
        self.open(number);
    }

    fn moves(&mut self, room_id: &str, sender: &str, from: &[&str], membership: &str) {
        let mut server = self.world.server.borrow_mut();
        if !from.contains(&server.membership(room_id, CAROL).as_str()) {
            return;
        }
        let event = json!({"type": "m.room.member", "state_key": CAROL, "sender": sender,
            "content": {"membership": membership}});
        let now = self.world.tasks.now();
        server.add(room_id, now, event);
        drop(server);
        if membership != "leave" && self.devices.iter().all(|device| device.user != CAROL) {
            self.sign_in(CAROL);
        }
    }

    /// An encrypted name of before, as it was.
    fn old(&mut self, room_id: &str) -> Option<Value> {
        let server = self.world.server.borrow();
        let names: Vec<Value> = server.rooms[room_id]
            .events
            .iter()
            .filter(|event| {
                event["state_key"] == "m.room.name:" && event["content"]["ciphertext"].is_string()
            })
            .cloned()
            .collect();
        drop(server);
        let at = self.chance.below(names.len());
        names.get(at).cloned()
    }

    fn inject(&self, user: usize, room_id: &str, is_state: bool, event: Value) {
        let list = if is_state { "state" } else { "timeline" };
        let event = (room_id.to_owned(), list, event);
        self.lies(user, |lies| lies.injected.push(event));
    }

    fn stranger_tells(&mut self, user: usize, length: usize) {
        let user = self.user(user);
        let (keys, _) = device_keys(&mut self.chance, MALLORY, "STRANGER");
        let word = json!({"room_id": format!("!{}:x", "r".repeat(length)), "state": [
            {"type": "m.room.name", "state_key": "", "content": {"name": "Strange"}}]});
        let stranger = format!("@{}:x", "s".repeat(length.min(240)));
        let mut server = self.world.server.borrow_mut();
        for device in self.devices.iter().filter(|device| device.user == user) {
            let event = json!({"type": "sim.olm", "sender": stranger, "content": {
                "kind": "org.mantle.room_state", "device": keys, "text": word.to_string()}});
            server.send_to_device(&user, &device.id, event);
        }
    }

    /// All room keys that somebody's device has been given go to a device as that device's own.
    fn hands_out(&self, (user, id): (&str, &str), keys: &Value, device: usize) {
        let to = self.device(device);
        let mut server = self.world.server.borrow_mut();
        for message in server.messages(user, id) {
            let content = &message["content"];
            if content["kind"] == "m.room_key" {
                let event = json!({"type": "sim.olm", "sender": user, "content": {
                    "kind": "m.room_key", "device": keys, "text": content["text"]}});
                server.send_to_device(&to.user, &to.id, event);
            }
        }
    }

    /// Mallory's own session, its key to all of a user's devices, and an event made with it.
    fn member_sends(&mut self, user: usize, room_id: &str, event_type: &str, content: &Value) {
        let user = self.user(user);
        let (keys, _) = device_keys(&mut self.chance, MALLORY, "FORGES");
        let (curve25519, ed25519) = (text(&keys["curve25519"]), text(&keys["ed25519"]));
        let device = OwnDevice::new(
            DeviceId { user_id: MALLORY, id: "FORGES" },
            DeviceKeys { curve25519: &curve25519, ed25519: &ed25519 },
        )
        .unwrap();
        let now = self.now();
        let mut session = OutboundSession::make(room_id, now);
        let key: Value =
            serde_json::from_str(room_key_content(&session, true).unwrap().expose()).unwrap();
        let sent = encrypt_state(
            &mut session,
            &device,
            TypeAndKey::single(event_type),
            &content.to_string(),
        )
        .unwrap();
        let mut server = self.world.server.borrow_mut();
        server.publish_device(MALLORY, "FORGES", Some(keys.clone()));
        for device in self.devices.iter().filter(|device| device.user == user) {
            let event = json!({"type": "sim.olm", "sender": MALLORY, "content": {
                "kind": "m.room_key", "device": keys, "text": key.to_string()}});
            server.send_to_device(&user, &device.id, event);
        }
        let slot = (ENCRYPTED, &*sent.key.to_string());
        let content = serde_json::from_str(&sent.content).unwrap();
        server.put_state(room_id, now, MALLORY, slot, &content);
    }

    /// All is well again, and time goes by; then everyone who may read sees the same.
    fn quiet(&mut self) {
        for device in &self.devices {
            let mut disk = device.disk.borrow_mut();
            (disk.fault, disk.slowness) = (Fault::None, 0);
        }
        self.world.lost.set((0, 0));
        self.world.server.borrow_mut().tell_again();
        for device in 0..self.devices.len() {
            let id = self.devices[device].id.clone();
            if self.pages.values().all(|page| page.device.id != id) {
                self.open(device);
            }
        }
        self.passes(600_000);
        if self.leaves_newcomers {
            self.newcomers_read_what_they_may();
        }
        // Keys that a restored profile has lost go to new devices with the next name only.
        if self.leaves_names && !self.is_restored {
            for (room_id, _) in ROOMS {
                self.all_see(room_id, &self.expected(room_id), "after quiet");
            }
        }
        for (room_id, _) in ROOMS {
            let alice = self.pages.values().find(|page| page.device.user == ALICE).cloned();
            let name = alice.and_then(|alice| self.names(&alice, room_id));
            self.passes(60_000);
            match name {
                Some(name) => {
                    if !self.world.truth.borrow().taken.contains(&name) {
                        self.breaks(format!("{room_id} could not be named in the end"));
                    }
                    self.all_see(room_id, &[Some(name)], "after a new name");
                }
                None => self.breaks(format!("Alice is not in {room_id} any more")),
            }
        }
    }

    /// What was replaced before Carol first came is not for her, but where the room says so.
    fn newcomers_read_what_they_may(&self) {
        let server = self.world.server.borrow();
        let mut broken = Vec::new();
        for (room_id, room) in &server.rooms {
            let visibility = &room.state[&("m.room.history_visibility".to_owned(), String::new())];
            let visibility = text(&room.events[*visibility]["content"]["history_visibility"]);
            let comes: &[&str] = match &*visibility {
                "joined" => &["join"],
                "invited" => &["join", "invite"],
                _ => continue,
            };
            let came = room.events.iter().position(|event| {
                let membership = event["content"]["membership"].as_str().unwrap_or_default();
                event["type"] == "m.room.member"
                    && event["state_key"] == CAROL
                    && comes.contains(&membership)
            });
            let before = &room.events[..came.unwrap_or(room.events.len())];
            // What Mallory forged replaces nothing, and its key is hers to hand out.
            let is_name =
                |event: &&Value| event["state_key"] == "m.room.name:" && event["sender"] != MALLORY;
            let names: Vec<&Value> = before.iter().filter(is_name).collect();
            for replaced in names.iter().take(names.len().saturating_sub(1)) {
                let content = &replaced["content"];
                let Some(ciphertext) = content["ciphertext"].as_str() else { continue };
                let session_id = content["session_id"].as_str().unwrap_or_default();
                for device in self.devices.iter().filter(|device| device.user == CAROL) {
                    if device.crypto.borrow().opens(room_id, session_id, ciphertext) {
                        broken.push(format!(
                            "{} can read what was replaced before she came to {room_id}",
                            device.id
                        ));
                    }
                }
            }
        }
        drop(server);
        broken.into_iter().for_each(|what| self.breaks(what));
    }

    /// What everyone is to see: the current name. Where a device's requests have overtaken one another,
    /// its later one counts as well, and for all who got both: nobody could tell that from a homeserver
    /// that winds back.
    fn expected(&self, room_id: &str) -> Vec<Option<String>> {
        let Some(current) = self.current(room_id) else { return vec![None] };
        let place = |event: &Value| {
            let message = MegolmMessage::from_base64(event["content"]["ciphertext"].as_str()?);
            Some((text(&event["content"]["session_id"]), message.ok()?.message_index()))
        };
        let name = |event: &Value| {
            let truth = self.world.truth.borrow();
            let name = truth.inside.get(event["content"]["ciphertext"].as_str()?);
            // An empty name is none: so one is sent after what was redacted on its way once more.
            name.filter(|name| !name.is_empty()).cloned()
        };
        let mut names = vec![name(&current)];
        let Some((session_id, index)) = place(&current) else { return names };
        let server = self.world.server.borrow();
        let same = server.rooms[room_id].events.iter().filter_map(|event| {
            let (session, at) = place(event).filter(|_| event["state_key"] == "m.room.name:")?;
            (session == session_id && at > index).then_some((at, event))
        });
        names.extend(same.max_by_key(|(at, _)| *at).map(|(_, event)| name(event)));
        names
    }

    fn all_see(&self, room_id: &str, expected: &[Option<String>], when: &str) {
        for page in self.pages.values() {
            let is_member =
                self.world.server.borrow().membership(room_id, &page.device.user) == "join";
            if !is_member {
                continue;
            }
            let shown = page.element.borrow().name(room_id).map(|(name, _)| name);
            if !expected.contains(&shown) {
                self.breaks(format!(
                    "{when}, {} sees {shown:?} in {room_id}, not {}",
                    page.who(),
                    expected
                        .iter()
                        .map(|name| format!("{name:?}"))
                        .collect::<Vec<_>>()
                        .join(" or "),
                ));
            }
        }
    }
}

/// Goes through a plan, until a promise is broken.
pub fn run(seed: u64, acts: &[(Act, usize)], sabotage: Sabotage) -> Report {
    let mut run = Run::new(seed, sabotage, acts);
    for (act, steps) in acts {
        run.acts(*act);
        run.steps(*steps);
        if !run.world.truth.borrow().broken.is_empty() {
            break;
        }
    }
    if run.world.truth.borrow().broken.is_empty() {
        run.quiet();
    }
    let owners: Vec<usize> = run.pages.keys().copied().collect();
    owners.into_iter().for_each(|owner| run.close(owner));
    let truth = std::mem::take(&mut *run.world.truth.borrow_mut());
    Report { broken: truth.broken, log: truth.log, steps: run.steps }
}

/// The shortest plan found that still breaks a promise of the same kind.
pub fn shrunk(seed: u64, mut acts: Vec<(Act, usize)>, sabotage: Sabotage) -> Vec<(Act, usize)> {
    let fails = |acts: &[(Act, usize)]| !run(seed, acts, sabotage).broken.is_empty();
    let mut part = acts.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        while at < acts.len() {
            let mut fewer = acts.clone();
            fewer.drain(at..(at + part).min(acts.len()));
            if fails(&fewer) {
                acts = fewer;
            } else {
                at += part;
            }
        }
        part = if part == 1 { 0 } else { part.div_ceil(2) };
    }
    acts
}
