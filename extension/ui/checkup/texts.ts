/** Names of the texts that stand for what Rust says. */
import type { CountedName, MessageName } from "../../browser/messages.ts";
import type {
  Audience,
  FindingId,
  Grade,
  RepairPause,
  RepairView,
  Topic,
} from "../../generated/types.ts";

interface FindingTexts {
  /** Of its repair, where that stands alone. */
  readonly name: MessageName;
  /** With the count. */
  readonly heading: CountedName;
  /** Who can see it, and what follows. */
  readonly about: MessageName;
  /** What a repair does, with its steps; undefined where there is none. */
  readonly plan: CountedName | undefined;
}

export const FINDINGS: Readonly<Record<FindingId, FindingTexts>> = {
  "session-names": {
    name: "checkupNameSessionNames",
    heading: "checkupTitleSessionNames",
    about: "checkupTextSessionNames",
    plan: "checkupPlanSessionNames",
  },
  "readable-rooms": {
    name: "checkupNameReadableRooms",
    heading: "checkupTitleReadableRooms",
    about: "checkupTextReadableRooms",
    plan: "checkupPlanReadableRooms",
  },
  "room-pictures": {
    name: "checkupNameRoomPictures",
    heading: "checkupTitleRoomPictures",
    about: "checkupTextRoomPictures",
    plan: undefined,
  },
  "identity-server": {
    name: "checkupNameIdentityServer",
    heading: "checkupTitleIdentityServer",
    about: "checkupTextIdentityServer",
    plan: "checkupPlanIdentityServer",
  },
  "integration-manager": {
    name: "checkupNameIntegrationManager",
    heading: "checkupTitleIntegrationManager",
    about: "checkupTextIntegrationManager",
    plan: "checkupPlanIntegrationManager",
  },
  "account-widgets": {
    name: "checkupNameAccountWidgets",
    heading: "checkupTitleAccountWidgets",
    about: "checkupTextAccountWidgets",
    plan: "checkupPlanAccountWidgets",
  },
  "room-widgets": {
    name: "checkupNameRoomWidgets",
    heading: "checkupTitleRoomWidgets",
    about: "checkupTextRoomWidgets",
    plan: "checkupPlanRoomWidgets",
  },
  keywords: {
    name: "checkupNameKeywords",
    heading: "checkupTitleKeywords",
    about: "checkupTextKeywords",
    plan: "checkupPlanKeywords",
  },
  "open-history": {
    name: "checkupNameOpenHistory",
    heading: "checkupTitleOpenHistory",
    about: "checkupTextOpenHistory",
    plan: "checkupPlanOpenHistory",
  },
  "listed-rooms": {
    name: "checkupNameListedRooms",
    heading: "checkupTitleListedRooms",
    about: "checkupTextListedRooms",
    plan: "checkupPlanListedRooms",
  },
  "guest-access": {
    name: "checkupNameGuestAccess",
    heading: "checkupTitleGuestAccess",
    about: "checkupTextGuestAccess",
    plan: "checkupPlanGuestAccess",
  },
  "public-profile": {
    name: "checkupNamePublicProfile",
    heading: "checkupTitlePublicProfile",
    about: "checkupTextPublicProfile",
    plan: undefined,
  },
  "time-zone": {
    name: "checkupNameTimeZone",
    heading: "checkupTitleTimeZone",
    about: "checkupTextTimeZone",
    plan: "checkupPlanTimeZone",
  },
  "open-media": {
    name: "checkupNameOpenMedia",
    heading: "checkupTitleOpenMedia",
    about: "checkupTextOpenMedia",
    plan: undefined,
  },
  presence: {
    name: "checkupNamePresence",
    heading: "checkupTitlePresence",
    about: "checkupTextPresence",
    plan: undefined,
  },
  "content-network": {
    name: "checkupNameContentNetwork",
    heading: "checkupTitleContentNetwork",
    about: "checkupTextContentNetwork",
    plan: undefined,
  },
  pushers: {
    name: "checkupNamePushers",
    heading: "checkupTitlePushers",
    about: "checkupTextPushers",
    plan: undefined,
  },
  contacts: {
    name: "checkupNameContacts",
    heading: "checkupTitleContacts",
    about: "checkupTextContacts",
    plan: undefined,
  },
  "idle-sessions": {
    name: "checkupNameIdleSessions",
    heading: "checkupTitleIdleSessions",
    about: "checkupTextIdleSessions",
    plan: undefined,
  },
  "key-backup": {
    name: "checkupNameKeyBackup",
    heading: "checkupTitleKeyBackup",
    about: "checkupTextKeyBackup",
    plan: undefined,
  },
  "state-pushes": {
    name: "checkupNameStatePushes",
    heading: "checkupTitleStatePushes",
    about: "checkupTextStatePushes",
    plan: "checkupPlanStatePushes",
  },
};

export const AUDIENCES: Readonly<Record<Audience, MessageName>> = {
  everyone: "checkupAudienceEveryone",
  people: "checkupAudiencePeople",
  "third-party": "checkupAudienceThirdParty",
  homeservers: "checkupAudienceHomeservers",
  homeserver: "checkupAudienceHomeserver",
};

export const GRADES: Readonly<Record<Grade, MessageName>> = {
  high: "checkupGradeHigh",
  medium: "checkupGradeMedium",
  low: "checkupGradeLow",
};

export const PARTS: Readonly<Record<string, MessageName>> = {
  name: "checkupPartName",
  topic: "checkupPartTopic",
  version: "checkupPartVersion",
};

export const UNREAD: Readonly<Record<Topic, MessageName>> = {
  sessions: "checkupUnreadSessions",
  sync: "checkupUnreadSync",
  contacts: "checkupUnreadContacts",
  pushers: "checkupUnreadPushers",
  profile: "checkupUnreadProfile",
  presence: "checkupUnreadPresence",
  directory: "checkupUnreadDirectory",
  media: "checkupUnreadMedia",
  backup: "checkupUnreadBackup",
};

/** Of the button after which nothing of a repair is kept. */
export function forgetText({
  state,
  undoable,
}: Pick<RepairView, "state" | "undoable">): MessageName {
  if (state.is !== "ended") return "checkupDiscard";
  return undoable ? "checkupForgetUndo" : "checkupForget";
}

export const PAUSES: Readonly<Record<RepairPause, MessageName>> = {
  asked: "checkupPauseAsked",
  unreachable: "checkupPauseUnreachable",
  "signed-out": "checkupPauseSignedOut",
  failing: "checkupPauseFailing",
  slow: "checkupPauseSlow",
};
