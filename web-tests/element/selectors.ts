/**
 * How the tests find what they press and read in Element: nothing else names a class of it. Three sets
 * and no more: of any build, of the tests' own interface, and of Element Call.
 */

/** Any Element Web, by what its versions have in common: how fields are called. */
export const ANY = {
  user: "input[name=username], #mx_LoginForm_username",
  password: "input[name=password], #mx_LoginForm_password",
} as const;

const COMPOSER = ".mx_BasicMessageComposer_input";
const DIALOG_PRIMARY = ".mx_Dialog_primary";

/** The tests' own interface, matrix-react-sdk 3.114.0. */
export const UI = {
  loginUser: "#mx_LoginForm_username",
  loginPassword: "#mx_LoginForm_password",
  loginSubmit: ".mx_Login_submit:not(.mx_Login_submit_disabled)",
  /** To an authorisation server's own page. */
  loginElsewhere: ".mx_Login_fullWidthButton",
  loginBySso: ".mx_SSOButton",
  registerUser: "#mx_RegistrationForm_username",
  registerPassword: "#mx_RegistrationForm_password",
  registerPasswordAgain: "#mx_RegistrationForm_passwordConfirm",
  useCaseSkip: ".mx_UseCaseSelection_skip [role=button]",
  welcome: ".mx_Welcome",
  verificationSkip: ".mx_CompleteSecurity_skip",
  button: "[role=button]",
  /** What is shown to whoever is signed out. */
  signedOut: "#mx_LoginForm_username, .mx_WelcomePage, .mx_AuthPage",

  leftPanel: ".mx_LeftPanel",
  roomInList: ".mx_LeftPanel .mx_RoomTile_title",
  roomTile: ".mx_RoomTile",
  roomTileName: ".mx_RoomTile_title",
  roomTilePicture: ".mx_RoomTile img",
  addRoom: ".mx_RoomListHeader_plusButton",
  menuItem: "[role=menuitem]",
  userMenu: ".mx_UserMenu [role=button]",
  userMenuOpen: ".mx_UserMenu_contextMenu",
  toastButton: ".mx_Toast_buttons button, .mx_Toast_buttons [role=button]",

  dialog: ".mx_Dialog",
  dialogClose: ".mx_Dialog [aria-label='Close dialog']",
  dialogButton: ".mx_Dialog_buttons button, .mx_Dialog_buttons [role=button]",
  newRoomName: ".mx_CreateRoomDialog_name input",
  newRoomTopic: ".mx_CreateRoomDialog_topic input",
  newRoomEncrypted: ".mx_CreateRoomDialog_e2eSwitch [role=switch]",
  newRoomMake: `.mx_CreateRoomDialog ${DIALOG_PRIMARY}`,
  uploadDialog: ".mx_UploadConfirmDialog",
  uploadSend: `.mx_UploadConfirmDialog ${DIALOG_PRIMARY}`,
  widgetAllow: `.mx_WidgetCapabilitiesPromptDialog ${DIALOG_PRIMARY}`,
  inviteField: ".mx_InviteDialog_editor input",
  inviteEditor: ".mx_InviteDialog_editor",
  inviteFound: ".mx_InviteDialog_tile_nameStack_userId",
  inviteChosen: ".mx_InviteDialog_userTile",
  inviteGo: ".mx_InviteDialog_goButton:not([disabled]):not([aria-disabled=true])",
  settings: ".mx_UserSettingsDialog",
  sessionsTab: "[data-testid=settings-tab-USER_SESSION_MANAGER_TAB]",
  sessionName: ".mx_DeviceTile .mx_Heading_h4, [data-testid=current-session-section] h4",
  profilePicture: ".mx_UserProfileSettings input[type=file]",

  room: ".mx_RoomView",
  roomBody: ".mx_RoomView_body",
  roomTimeline: ".mx_RoomView_timeline",
  roomHeader: ".mx_RoomHeader",
  roomName: ".mx_RoomHeader_heading",
  roomHeaderPicture: ".mx_RoomHeader img",
  roomLetter: ".mx_RoomHeader [data-type]",
  roomInfo: ".mx_RoomHeader [aria-label='Room info']:not(.mx_RoomHeader_infoWrapper)",
  newRoomInvite: ".mx_NewRoomIntro_inviteButton",
  invitationAccept: ".mx_RoomPreviewBar_actions .mx_AccessibleButton_kind_primary",
  newRoomPicture: ".mx_NewRoomIntro .mx_MiniAvatarUploader_input",
  roomPictureField: ".mx_RoomProfileSettings input[type=file]",
  /** As it was chosen, before it is stored; and as it is read from the homeserver. */
  roomPictureChosen: ".mx_AvatarSetting_avatarDisplay[src^='data:']",
  roomPictureStored: ".mx_AvatarSetting_avatarDisplay[src^='blob:']",
  roomProfileSave: ".mx_RoomProfileSettings_buttons .mx_AccessibleButton_kind_primary",
  members: ".mx_RoomHeader .mx_FacePile",
  memberName:
    ".mx_MemberList .mx_DisambiguatedProfile_displayName, .mx_MemberList .mx_EntityTile_name",
  panelClose: "[data-testid=base-card-close-button]",
  searchField: ".mx_RoomSummaryCard_search input",
  searchResults: ".mx_RoomView_searchResultsPanel",
  searchBar: ".mx_RoomSearchAuxPanel",
  searchCancel: ".mx_RoomSearchAuxPanel [aria-label=Cancel]",
  thread: ".mx_ThreadView",
  threadSummary: ".mx_ThreadSummary",

  composer: COMPOSER,
  composerFile: ".mx_MessageComposer input[type=file]",
  composerMore: ".mx_MessageComposer [aria-label='More options']",
  /** Of an open room, below its place. */
  composerSend: `.mx_SendMessageComposer ${COMPOSER}`,
  composerSendButton: ".mx_MessageComposer_sendMessage",
  composerEdit: `.mx_EditMessageComposer ${COMPOSER}`,
  composerBar: ".mx_MessageComposer",
  stickers: "#stickersButton",
  stickersNone: ".mx_Stickers_contentPlaceholder",

  message: ".mx_EventTile",
  messageBody: ".mx_EventTile_body",
  messagePicture: ".mx_EventTile_avatar img",
  messageSender: ".mx_DisambiguatedProfile_displayName",
  messageSent: ".mx_EventTile_receiptSent",
  messageEdited: ".mx_EventTile_edited",
  messageActions: ".mx_MessageActionBar",
  quickReaction: ".mx_EmojiPicker_quick .mx_EmojiPicker_item_wrapper",
  reaction: ".mx_ReactionsRowButton",
  replyPreview: ".mx_ReplyPreview",
  replyChain: ".mx_ReplyChain",
  file: ":is(.mx_MImageBody, .mx_MFileBody)",

  voiceCall: ".mx_RoomHeader [aria-label='Voice call']:not([aria-disabled=true])",
  videoCall: ".mx_RoomHeader [aria-label='Video call']:not([aria-disabled=true])",
  joinGroupCall: ".mx_RoomHeader_join_button:not([disabled]):not([aria-disabled=true])",
  callView: ".mx_LegacyCallView",
  callAccept: ".mx_IncomingLegacyCallToast_button_accept",
  callClock: ".mx_LegacyCallEvent .mx_Clock",
  callHangUp: ".mx_LegacyCallViewButtons_button_hangup",
} as const;

/** Element Call, in its frame. */
export const CALL = {
  join: "[data-testid=lobby_joinCall]",
  mute: "[data-testid=incall_mute]",
  leave: "[data-testid=incall_leave]",
} as const;
