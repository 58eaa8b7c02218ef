/** Generated from the Rust types that cross the boundary; do not edit. */

/**
 * What a shield does with what it finds, weakest first.
 */
export type Mode = "off" | "flag" | "ask" | "on";

/**
 * Which defaults hold where nobody chose, weakest first.
 */
export type Profile = "recommended" | "strict";

/**
 * Where a value in force comes from.
 */
export type Source = "default" | "user" | "policy";

/**
 * A value, where it comes from, and whether the user may change it.
 */
export type InForce<T> = { 
/**
 * The value.
 */
value: T, 
/**
 * Its origin.
 */
source: Source, 
/**
 * Set by policy, not to be changed.
 */
locked: boolean, };

/**
 * What an entry of a list is.
 */
export type Item = "host" | "type" | "state";

/**
 * The values an option takes.
 */
export type OptionKind = { "choice": Array<[string, string]> } | { "text": { 
/**
 * In characters.
 */
max: number, } } | { "number": { 
/**
 * Smallest.
 */
min: number, 
/**
 * Largest.
 */
max: number, } } | "flag" | { "list": { 
/**
 * Most entries.
 */
max: number, 
/**
 * What each is.
 */
item: Item, } };

/**
 * One option of a shield.
 */
export type OptionInfo = { 
/**
 * As stored, in camelCase.
 */
key: string, 
/**
 * For people.
 */
title: string, 
/**
 * Its values.
 */
kind: OptionKind, 
/**
 * Where nobody chose: JSON text.
 */
default: string, 
/**
 * One line: why that default.
 */
why: string, };

/**
 * A value an option has.
 */
export type OptionValue = string | number | boolean | Array<string>;

/**
 * One change a person makes.
 */
export type SettingChange = { "type": "mode", 
/**
 * Its id.
 */
shield: string, 
/**
 * The new mode; `None` goes back to the default.
 */
mode: Mode | null, } | { "type": "deviceName", 
/**
 * The new text; `None` goes back to the default.
 */
value: string | null, } | { "type": "allow", 
/**
 * Its id.
 */
shield: string, 
/**
 * Host names, with `:port` where needed.
 */
hosts: Array<string>, } | { "type": "sites", 
/**
 * Origins, with a path at most.
 */
sites: Array<string>, } | { "type": "profile", 
/**
 * The new one; `None` goes back to the default.
 */
profile: Profile | null, } | { "type": "option", 
/**
 * The shield's id.
 */
shield: string, 
/**
 * The option's key.
 */
key: string, 
/**
 * JSON text; `None` goes back to the default.
 */
value: OptionValue | null, };

/**
 * Why a file was not taken; the options page has the sentences.
 */
export type ImportError = { "why": "noSettings" } | { "why": "unknown", "name": string } | { "why": "value", "name": string } | { "why": "readable", "name": string };

/**
 * A place where Element lives.
 */
export type Site = { 
/**
 * Origin, with the path under which the client lives, without a slash at the end.
 */
url: string, 
/**
 * Without a port.
 */
host: string, 
/**
 * Match pattern of its pages. It has no port: Firefox's patterns know none.
 */
match: string, 
/**
 * Match pattern of the permission it needs. It has no path: permissions know none.
 */
permission: string, };

/**
 * A part of the page script that takes requests or answers over, asynchronously.
 */
export type Handler = "state" | "media" | "ask" | "session" | "relations";

/**
 * What Mantle did, for the ledger.
 */
export type Action = "blocked" | "answered" | "rewritten" | "flagged" | "asked" | "unknown";

/**
 * What a person is asked before something leaves. All texts are for people.
 */
export type Question = { 
/**
 * Names it among its shield's questions.
 */
id: string, 
/**
 * The question.
 */
title: string, 
/**
 * Who learns what.
 */
text: string, 
/**
 * On the button that lets it go.
 */
send: string, 
/**
 * Beside the box that lets it go from now on, for the user or room that the path names; `None`:
 * asked each time.
 */
remember: string | null, };

/**
 * Who takes a request or an answer over, and on whose behalf.
 */
export type Delegate = { 
/**
 * The part of the page script.
 */
handler: Handler, 
/**
 * The shield's id.
 */
shield: string, 
/**
 * Its title.
 */
name: string, 
/**
 * What the person is asked; `None` where the handler has its own words, and for a prompt that
 * is refused without asking.
 */
question: Question | null, };

/**
 * One kind of decision and how often it was made.
 */
export type RecordEffect = { 
/**
 * Milliseconds since the epoch, of the drain.
 */
time: number, 
/**
 * Shield id, or `router` for unknown endpoints.
 */
shield: string, 
/**
 * What was done.
 */
action: Action, 
/**
 * Host, with port where it is not the scheme's own.
 */
host: string, 
/**
 * Endpoint template: parameters stand as `{}`.
 */
endpoint: string, 
/**
 * How often since the last drain.
 */
count: number, };

/**
 * What the browser side has to carry on.
 */
export type Effect = { "type": "record" } & RecordEffect | { "type": "learned", 
/**
 * Shield id.
 */
shield: string, 
/**
 * Host, with port where named.
 */
host: string, 
/**
 * `/` for the whole host.
 */
pathPrefix: string, };

/**
 * What a shield wants of a peer connection.
 */
export type PeerVerdict = { 
/**
 * Only relayed traffic. In any case nothing is gathered before the call starts.
 */
relayOnly: boolean, 
/**
 * For each server's URL, in their order: whether it may be contacted.
 */
kept: Array<boolean>, 
/**
 * For the user, when the connection cannot work.
 */
sentence: string | null, };

/**
 * What a shield wants loaded into a frame instead.
 */
export type FrameVerdict = { 
/**
 * Absolute.
 */
url: string, 
/**
 * For the user, when the frame stays empty.
 */
sentence: string | null, };

/**
 * An option of a shield as shown.
 */
export type OptionView = { 
/**
 * In force.
 */
value: OptionValue, 
/**
 * Where it comes from.
 */
source: Source, 
/**
 * Whether policy keeps the user from changing it.
 */
locked: boolean, 
/**
 * As stored, in camelCase.
 */
key: string, 
/**
 * For people.
 */
title: string, 
/**
 * Its values.
 */
kind: OptionKind, 
/**
 * Where nobody chose: JSON text.
 */
default: string, 
/**
 * One line: why that default.
 */
why: string, };

/**
 * One shield as shown.
 */
export type ShieldView = { 
/**
 * Kebab-case id.
 */
id: string, 
/**
 * Short title.
 */
name: string, 
/**
 * What it does.
 */
purpose: string, 
/**
 * What the user loses.
 */
loses: string, 
/**
 * In force.
 */
mode: Mode, 
/**
 * Where nobody chose, under the profile in force.
 */
default: Mode, 
/**
 * All it offers.
 */
modes: Array<Mode>, 
/**
 * Where the mode comes from.
 */
source: Source, 
/**
 * Whether policy keeps the user from changing it.
 */
locked: boolean, 
/**
 * Choices beside the mode.
 */
options: Array<OptionView>, 
/**
 * Title of its list of allowed hosts; `None`: it has none.
 */
allow: string | null, 
/**
 * Does nothing without the browser's permission for all sites.
 */
everywhere: boolean, };

/**
 * A text setting as shown.
 */
export type TextView = { 
/**
 * In force.
 */
value: string, 
/**
 * Where nobody chose.
 */
default: string, 
/**
 * Where it comes from.
 */
source: Source, 
/**
 * Whether the user may change it.
 */
locked: boolean, };

/**
 * All settings as shown.
 */
export type SettingsView = { 
/**
 * Which defaults hold.
 */
profile: InForce<Profile>, 
/**
 * In their order.
 */
shields: Array<ShieldView>, 
/**
 * Choices that belong to no shield.
 */
general: Array<OptionView>, 
/**
 * What sessions are called.
 */
deviceName: TextView, 
/**
 * Allowed hosts by shield id: the organisation's and the user's.
 */
allow: Record<string, string[]>, 
/**
 * The user's part of them.
 */
ownAllow: Record<string, string[]>, 
/**
 * What could not be read, as sentences.
 */
problems: Array<string>, };

/**
 * Sites beside those a build was made for.
 */
export type SiteLists = { 
/**
 * That the user added.
 */
own: Array<Site>, 
/**
 * That the organisation names.
 */
named: Array<Site>, };

/**
 * Whose account it is, as the page's session says.
 */
export type Account = { 
/**
 * Matrix ID.
 */
user: string, 
/**
 * Of the page's own session.
 */
device: string, 
/**
 * What sessions are to be called, by the settings in force.
 */
sessionName: string, 
/**
 * Rooms whose names the page's encrypted state can encrypt.
 */
convertible: Array<string>, 
/**
 * Milliseconds since the epoch.
 */
now: number, };

/**
 * One request to the homeserver.
 */
export type CheckUpRequest = { 
/**
 * `GET`, `PUT` or `DELETE`.
 */
method: string, 
/**
 * Begins with `/_matrix/`.
 */
path: string, 
/**
 * JSON.
 */
body: string | null, 
/**
 * With the session's access token; otherwise as somebody who has no account.
 */
signed: boolean, };

/**
 * What a check-up wants next.
 */
export type CheckUpNext = { "do": "ask", 
/**
 * To the homeserver.
 */
request: CheckUpRequest, } | { "do": "judge", 
/**
 * JSON, as the homeserver tells of it.
 */
backup: string, };

/**
 * What a request is made for.
 */
export type Topic = "sessions" | "sync" | "contacts" | "pushers" | "profile" | "presence" | "directory" | "media" | "backup";

/**
 * What the account shows.
 */
export type FindingId = "session-names" | "readable-rooms" | "room-pictures" | "identity-server" | "integration-manager" | "account-widgets" | "room-widgets" | "keywords" | "open-history" | "listed-rooms" | "guest-access" | "public-profile" | "time-zone" | "open-media" | "presence" | "content-network" | "pushers" | "contacts" | "idle-sessions" | "key-backup" | "state-pushes";

/**
 * Who can see it; the widest first.
 */
export type Audience = "everyone" | "people" | "third-party" | "homeservers" | "homeserver";

/**
 * How much it tells; the worst first.
 */
export type Grade = "high" | "medium" | "low";

/**
 * What a finding is made of: a session, a room, a word.
 */
export type FoundItem = { 
/**
 * Somebody else's text.
 */
name: string, 
/**
 * Where it belongs: a host, or a room.
 */
of: string | null, 
/**
 * Of rooms: `name` or `topic`. Of a key backup: `version`, which its name is.
 */
parts: Array<string>, 
/**
 * Milliseconds since the epoch, where it is known.
 */
since: number | null, 
/**
 * Whether a repair takes it back.
 */
repairable: boolean, };

/**
 * A repair that could be made.
 */
export type RepairOffer = { 
/**
 * How many items.
 */
steps: number, 
/**
 * Whether it can be taken back.
 */
undo: boolean, };

/**
 * One thing that the account shows.
 */
export type Finding = { 
/**
 * Which.
 */
id: FindingId, 
/**
 * Who can see it.
 */
audience: Audience, 
/**
 * How much it tells.
 */
grade: Grade, 
/**
 * Of all items, also of those that are not listed.
 */
count: number, 
/**
 * The first ones.
 */
items: Array<FoundItem>, 
/**
 * The oldest, in milliseconds since the epoch.
 */
since: number | null, 
/**
 * What Mantle can do about it.
 */
repair: RepairOffer | null, };

/**
 * What was found.
 */
export type CheckUpReport = { 
/**
 * Worst first.
 */
findings: Array<Finding>, 
/**
 * Requests that were answered.
 */
requests: number, 
/**
 * What the homeserver did not tell, or not so that it could be read.
 */
unread: Array<Topic>, };

/**
 * Why a repair rests.
 */
export type RepairPause = "asked" | "unreachable" | "signed-out" | "failing" | "slow";

/**
 * How far a repair is.
 */
export type RepairState = { "is": "running" } | { "is": "paused", 
/**
 * Why.
 */
why: RepairPause, } | { "is": "ended" };

/**
 * What to do next.
 */
export type RepairNext = { "do": "ask", 
/**
 * To the homeserver.
 */
request: CheckUpRequest, } | { "do": "convert", 
/**
 * Its id.
 */
room: string, } | { "do": "wait", 
/**
 * Milliseconds since the epoch.
 */
until: number, } | { "do": "rest" };

/**
 * For showing.
 */
export type RepairView = { 
/**
 * What is repaired.
 */
finding: FindingId, 
/**
 * How far.
 */
state: RepairState, 
/**
 * It is being taken back, or was.
 */
undoing: boolean, 
/**
 * All steps; when it is taken back, those that were done.
 */
total: number, 
/**
 * Steps that need nothing more, however they ended.
 */
settled: number, 
/**
 * Steps of something that somebody changed meanwhile.
 */
changed: number, 
/**
 * Steps that the homeserver or the page refused.
 */
refused: number, 
/**
 * When the homeserver asked to wait: until then, in milliseconds since the epoch.
 */
waiting: number | null, 
/**
 * What the step under way is about.
 */
label: string | null, 
/**
 * Whether something of it could be taken back now.
 */
undoable: boolean, };
