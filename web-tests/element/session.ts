/** What a person does with Element's interface in a day, step by step. */
import type { Page } from "puppeteer-core";
import { click, clickText, fill, LIMIT, ready, waitForText } from "./page.ts";

/** Registers through Element's form; the homeserver asks for one stage of authentication. */
export async function register(page: Page, user: string, password: string): Promise<void> {
  await page.evaluate(() => {
    location.hash = "#/register";
  });
  await fill(page, "#mx_RegistrationForm_username", user);
  await fill(page, "#mx_RegistrationForm_password", password);
  await fill(page, "#mx_RegistrationForm_passwordConfirm", password);
  await click(page, ".mx_Login_submit:not(.mx_Login_submit_disabled)");
  // New people are asked what they will use Element for.
  await click(page, ".mx_UseCaseSelection_skip [role=button]");
  await ready(page);
}

/** Makes an encrypted room by Element's dialog, and waits until its name is shown. */
export async function createEncryptedRoom(page: Page, name: string, topic: string): Promise<void> {
  await click(page, ".mx_RoomListHeader_plusButton");
  await clickText(page, "[role=menuitem]", "New room");
  await fill(page, ".mx_CreateRoomDialog_name input", name);
  await fill(page, ".mx_CreateRoomDialog_topic input", topic);
  const encryption = ".mx_CreateRoomDialog_e2eSwitch [role=switch]";
  await page.waitForSelector(`${encryption}[aria-checked=true]`, { visible: true, ...LIMIT });
  await click(page, ".mx_CreateRoomDialog .mx_Dialog_primary");
  await waitForText(page, ".mx_RoomHeader_heading", name);
}

/** Invites somebody from a new room's own button. */
export async function invite(page: Page, userId: string): Promise<void> {
  await click(page, ".mx_NewRoomIntro_inviteButton");
  await choosePerson(page, userId);
  await page.waitForSelector(".mx_InviteDialog_editor", { hidden: true, ...LIMIT });
}

/** Starts a direct chat and sends its first message, which makes the room. */
export async function startDirectChat(page: Page, userId: string, text: string): Promise<void> {
  await click(page, ".mx_RoomListHeader_plusButton");
  await clickText(page, "[role=menuitem]", "Start new chat");
  await choosePerson(page, userId);
  await page.waitForSelector(".mx_InviteDialog_editor", { hidden: true, ...LIMIT });
  await writeMessage(page, ".mx_RoomView", text);
}

async function choosePerson(page: Page, userId: string): Promise<void> {
  await fill(page, ".mx_InviteDialog_editor input", userId);
  await clickText(page, ".mx_InviteDialog_tile_nameStack_userId", userId);
  await page.waitForSelector(".mx_InviteDialog_userTile", { visible: true, ...LIMIT });
  await click(page, ".mx_InviteDialog_goButton:not([disabled]):not([aria-disabled=true])");
}

/** Writes into the composer inside `place` and waits until the homeserver has the message. */
export async function writeMessage(page: Page, place: string, text: string): Promise<void> {
  const composer = `${place} .mx_SendMessageComposer .mx_BasicMessageComposer_input`;
  await click(page, composer);
  await page.type(composer, text);
  await page.keyboard.press("Enter");
  await messageSent(page, place, text);
}

async function messageSent(page: Page, place: string, text: string): Promise<void> {
  await page.waitForFunction(
    (where: string, words: string) => {
      const tiles = [...document.querySelectorAll(`${where} .mx_EventTile`)];
      const own = tiles.find((tile) => {
        const body = tile.querySelector(".mx_EventTile_body");
        return body?.textContent?.trim() === words;
      });
      // A sent event has the server's id in place of the transaction's.
      return own?.getAttribute("data-event-id")?.startsWith("$") === true;
    },
    LIMIT,
    place,
    text,
  );
}

/** Waits until a message is shown in the room. */
export function seeMessage(page: Page, text: string): Promise<void> {
  return waitForText(page, ".mx_RoomView_body .mx_EventTile_body", text);
}

/** Changes an own message. */
export async function editMessage(page: Page, text: string, added: string): Promise<void> {
  await act(page, text, "Edit");
  const composer = ".mx_EditMessageComposer .mx_BasicMessageComposer_input";
  await page.waitForSelector(composer, { visible: true, ...LIMIT });
  await page.type(composer, added);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".mx_EventTile_edited", { visible: true, ...LIMIT });
}

/** Reacts with the first of the quick reactions. */
export async function react(page: Page, text: string): Promise<void> {
  await act(page, text, "React");
  await click(page, ".mx_EmojiPicker_quick .mx_EmojiPicker_item_wrapper");
  await page.waitForSelector(".mx_ReactionsRowButton", { visible: true, ...LIMIT });
}

/** Replies to a message. */
export async function reply(page: Page, text: string, answer: string): Promise<void> {
  await act(page, text, "Reply");
  await page.waitForSelector(".mx_ReplyPreview", { visible: true, ...LIMIT });
  const composer = ".mx_RoomView_body .mx_SendMessageComposer .mx_BasicMessageComposer_input";
  await click(page, composer);
  await page.type(composer, answer);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".mx_ReplyPreview", { hidden: true, ...LIMIT });
  await page.waitForSelector(".mx_ReplyChain", { visible: true, ...LIMIT });
}

/** Begins a thread at a message, and shuts its panel. */
export async function replyInThread(page: Page, text: string, answer: string): Promise<void> {
  await act(page, text, "Reply in thread");
  await writeMessage(page, ".mx_ThreadView", answer);
  await click(page, "[data-testid=base-card-close-button]");
  await page.waitForSelector(".mx_ThreadView", { hidden: true, ...LIMIT });
}

/** Searches the room that is open, waits until the search is over, and leaves it. */
export async function searchRoom(page: Page, term: string): Promise<void> {
  await click(page, ".mx_RoomHeader [aria-label='Room info']:not(.mx_RoomHeader_infoWrapper)");
  await fill(page, ".mx_RoomSummaryCard_search input", term);
  await page.keyboard.press("Enter");
  await page.waitForSelector(".mx_RoomView_searchResultsPanel", { visible: true, ...LIMIT });
  await click(page, ".mx_RoomSearchAuxPanel [aria-label=Cancel]");
  await page.waitForSelector(".mx_RoomSearchAuxPanel", { hidden: true, ...LIMIT });
  await click(page, "[data-testid=base-card-close-button]");
}

/** Chooses a file and confirms Element's dialog; what follows is up to who is asked. */
export async function chooseFile(page: Page, file: string): Promise<void> {
  const input = await page.waitForSelector(".mx_MessageComposer input[type=file]", LIMIT);
  await (input as Awaited<ReturnType<typeof page.$<"input">>>)?.uploadFile(file);
  await click(page, ".mx_UploadConfirmDialog .mx_Dialog_primary");
}

/** Waits until the room shows a file or a picture. */
export async function seeFile(page: Page): Promise<void> {
  const shown = ".mx_RoomView_body :is(.mx_MImageBody, .mx_MFileBody)";
  await page.waitForSelector(shown, { visible: true, ...LIMIT });
}

/** Id of the room that is shown, once the homeserver has given it one. */
export async function shownRoom(page: Page): Promise<string> {
  await page.waitForFunction(() => location.hash.startsWith("#/room/!"), LIMIT);
  return page.evaluate(() => location.hash.replace("#/room/", ""));
}

/** Goes to a room one is invited to, and in. */
export async function acceptInvitation(page: Page, roomId: string): Promise<void> {
  await page.evaluate((id: string) => {
    location.hash = `#/room/${id}`;
  }, roomId);
  await click(page, ".mx_RoomPreviewBar_actions .mx_AccessibleButton_kind_primary");
  await page.waitForSelector(".mx_RoomView_body .mx_MessageComposer", { visible: true, ...LIMIT });
}

/** Calls the other person of a direct chat. */
export async function call(page: Page): Promise<void> {
  await click(page, ".mx_RoomHeader [aria-label='Voice call']:not([aria-disabled=true])");
  await page.waitForSelector(".mx_LegacyCallView", { visible: true, ...LIMIT });
}

/** Takes a call that rings. */
export async function answerCall(page: Page): Promise<void> {
  await click(page, ".mx_IncomingLegacyCallToast_button_accept");
}

/** Waits until the call's clock runs. */
export async function callConnected(page: Page): Promise<void> {
  await page.waitForFunction(
    () => document.querySelector(".mx_LegacyCallEvent .mx_Clock") !== null,
    LIMIT,
  );
}

/** Ends the call. */
export async function hangUp(page: Page): Promise<void> {
  const view = await page.waitForSelector(".mx_LegacyCallView", { visible: true, ...LIMIT });
  // Its buttons come up under the pointer.
  await view?.hover();
  await click(page, ".mx_LegacyCallViewButtons_button_hangup");
  await page.waitForSelector(".mx_LegacyCallView", { hidden: true, ...LIMIT });
}

/** Opens a room by its name in the list. */
export async function openRoom(page: Page, name: string): Promise<void> {
  await clickText(page, ".mx_LeftPanel .mx_RoomTile_title", name);
  await waitForText(page, ".mx_RoomHeader_heading", name);
}

/** Opens the list of one's own sessions and gives what they are called. */
export async function sessionNames(page: Page): Promise<string[]> {
  await openUserMenu(page);
  await clickText(page, "[role=menuitem]", "All settings");
  await click(page, "[data-testid=settings-tab-USER_SESSION_MANAGER_TAB]");
  const heading = ".mx_DeviceTile .mx_Heading_h4, [data-testid=current-session-section] h4";
  await page.waitForSelector(heading, { visible: true, ...LIMIT });
  const names = await page.$$eval(heading, (all) => all.map((one) => one.textContent ?? ""));
  await page.keyboard.press("Escape");
  await page.waitForSelector(".mx_UserSettingsDialog", { hidden: true, ...LIMIT });
  return names;
}

/** Signs out, encrypted messages or not. */
export async function signOut(page: Page): Promise<void> {
  await openUserMenu(page);
  await clickText(page, "[role=menuitem]", "Sign out");
  const confirm = ".mx_Dialog_buttons button, .mx_Dialog_buttons [role=button]";
  const out = "#mx_LoginForm_username, .mx_WelcomePage, .mx_AuthPage";
  await page.waitForSelector(`${confirm}, ${out}`, { visible: true, ...LIMIT });
  if ((await page.$(out)) === null) {
    const away = /^(I don't want my encrypted messages|Sign out)$/;
    const labels = await page.$$eval(confirm, (all) => all.map((one) => one.textContent ?? ""));
    const label = labels.find((text) => away.test(text.trim()))?.trim();
    await clickText(page, confirm, label ?? "Sign out");
  }
  await page.waitForSelector(out, { visible: true, ...LIMIT });
}

async function openUserMenu(page: Page): Promise<void> {
  await click(page, ".mx_UserMenu [role=button]");
  await page.waitForSelector(".mx_UserMenu_contextMenu", { visible: true, ...LIMIT });
}

/** Points at a message and presses one of the buttons that come up. */
async function act(page: Page, text: string, button: string): Promise<void> {
  await seeMessage(page, text);
  const limit = Date.now() + LIMIT.timeout;
  // Tiles move while messages come in, and so does what lies under the pointer.
  for (;;) {
    const tiles = await page.$$(".mx_RoomView_body .mx_EventTile");
    for (const tile of tiles) {
      const body = await tile.$(".mx_EventTile_body");
      if ((await body?.evaluate((one) => one.textContent?.trim())) !== text) continue;
      await page.mouse.move(0, 0);
      await body?.hover();
      const found = await tile.$(`.mx_MessageActionBar [aria-label="${button}"]`);
      if (found !== null && (await found.isVisible())) {
        await found.click();
        return;
      }
    }
    if (Date.now() > limit) throw new Error(`The message "${text}" has no button "${button}".`);
    await new Promise((resume) => setTimeout(resume, 200));
  }
}
