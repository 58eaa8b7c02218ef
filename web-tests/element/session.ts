/** What a person does with Element's interface in a day, step by step. */
import type { Page } from "puppeteer-core";
import { click, clickText, fill, LIMIT, ready, waitForText } from "./page.ts";
import { UI } from "./selectors.ts";

/** Registers through Element's form; the homeserver asks for one stage of authentication. */
export async function register(page: Page, user: string, password: string): Promise<void> {
  await page.evaluate(() => {
    location.hash = "#/register";
  });
  await fill(page, UI.registerUser, user);
  await fill(page, UI.registerPassword, password);
  await fill(page, UI.registerPasswordAgain, password);
  await click(page, UI.loginSubmit);
  // New people are asked what they will use Element for.
  await click(page, UI.useCaseSkip);
  await ready(page);
}

/** Makes an encrypted room by Element's dialog, and waits until its name is shown. */
export async function createEncryptedRoom(page: Page, name: string, topic: string): Promise<void> {
  await click(page, UI.addRoom);
  await clickText(page, UI.menuItem, "New room");
  await fill(page, UI.newRoomName, name);
  await fill(page, UI.newRoomTopic, topic);
  await page.waitForSelector(`${UI.newRoomEncrypted}[aria-checked=true]`, {
    visible: true,
    ...LIMIT,
  });
  await click(page, UI.newRoomMake);
  await waitForText(page, UI.roomName, name);
}

/** Invites somebody from a new room's own button. */
export async function invite(page: Page, userId: string): Promise<void> {
  await click(page, UI.newRoomInvite);
  await choosePerson(page, userId);
  await page.waitForSelector(UI.inviteEditor, { hidden: true, ...LIMIT });
}

/** Starts a direct chat and sends its first message, which makes the room. */
export async function startDirectChat(page: Page, userId: string, text: string): Promise<void> {
  await click(page, UI.addRoom);
  await clickText(page, UI.menuItem, "Start new chat");
  await choosePerson(page, userId);
  await page.waitForSelector(UI.inviteEditor, { hidden: true, ...LIMIT });
  await writeMessage(page, UI.room, text);
}

async function choosePerson(page: Page, userId: string): Promise<void> {
  await fill(page, UI.inviteField, userId);
  await clickText(page, UI.inviteFound, userId);
  await page.waitForSelector(UI.inviteChosen, { visible: true, ...LIMIT });
  await click(page, UI.inviteGo);
}

/** Writes into the composer inside `place` and waits until the homeserver has the message. */
export async function writeMessage(page: Page, place: string, text: string): Promise<void> {
  const composer = `${place} ${UI.composerSend}`;
  await click(page, composer);
  await page.type(composer, text);
  await page.keyboard.press("Enter");
  await messageSent(page, place, text);
}

async function messageSent(page: Page, place: string, text: string): Promise<void> {
  await page.waitForFunction(
    (messages: string, bodies: string, words: string) => {
      const tiles = [...document.querySelectorAll(messages)];
      const own = tiles.find((tile) => {
        const body = tile.querySelector(bodies);
        return body?.textContent?.trim() === words;
      });
      // A sent event has the server's id in place of the transaction's.
      return own?.getAttribute("data-event-id")?.startsWith("$") === true;
    },
    LIMIT,
    `${place} ${UI.message}`,
    UI.messageBody,
    text,
  );
}

/** Waits until a message is shown in the room. */
export function seeMessage(page: Page, text: string): Promise<void> {
  return waitForText(page, `${UI.roomBody} ${UI.messageBody}`, text);
}

/** Changes an own message. */
export async function editMessage(page: Page, text: string, added: string): Promise<void> {
  await act(page, text, "Edit");
  const composer = UI.composerEdit;
  await page.waitForSelector(composer, { visible: true, ...LIMIT });
  await page.type(composer, added);
  await page.keyboard.press("Enter");
  await page.waitForSelector(UI.messageEdited, { visible: true, ...LIMIT });
}

/** Reacts with the first of the quick reactions. */
export async function react(page: Page, text: string): Promise<void> {
  await act(page, text, "React");
  await click(page, UI.quickReaction);
  await page.waitForSelector(UI.reaction, { visible: true, ...LIMIT });
}

/** Replies to a message. */
export async function reply(page: Page, text: string, answer: string): Promise<void> {
  await act(page, text, "Reply");
  await page.waitForSelector(UI.replyPreview, { visible: true, ...LIMIT });
  const composer = `${UI.roomBody} ${UI.composerSend}`;
  await click(page, composer);
  await page.type(composer, answer);
  await page.keyboard.press("Enter");
  await page.waitForSelector(UI.replyPreview, { hidden: true, ...LIMIT });
  await page.waitForSelector(UI.replyChain, { visible: true, ...LIMIT });
}

/** Begins a thread at a message, and shuts its panel. */
export async function replyInThread(page: Page, text: string, answer: string): Promise<void> {
  await act(page, text, "Reply in thread");
  await writeMessage(page, UI.thread, answer);
  await click(page, UI.panelClose);
  await page.waitForSelector(UI.thread, { hidden: true, ...LIMIT });
}

/** Searches the room that is open, waits until the search is over, and leaves it. */
export async function searchRoom(page: Page, term: string): Promise<void> {
  await click(page, UI.roomInfo);
  await fill(page, UI.searchField, term);
  await page.keyboard.press("Enter");
  await page.waitForSelector(UI.searchResults, { visible: true, ...LIMIT });
  await click(page, UI.searchCancel);
  await page.waitForSelector(UI.searchBar, { hidden: true, ...LIMIT });
  await click(page, UI.panelClose);
}

/** Chooses a file and confirms Element's dialog; what follows is up to who is asked. */
export async function chooseFile(page: Page, file: string): Promise<void> {
  const input = await page.waitForSelector(UI.composerFile, LIMIT);
  await (input as Awaited<ReturnType<typeof page.$<"input">>>)?.uploadFile(file);
  await click(page, UI.uploadSend);
}

/** Waits until the room shows a file or a picture. */
export async function seeFile(page: Page): Promise<void> {
  const shown = `${UI.roomBody} ${UI.file}`;
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
  await click(page, UI.invitationAccept);
  await page.waitForSelector(`${UI.roomBody} ${UI.composerBar}`, { visible: true, ...LIMIT });
}

/** Calls the other person of a direct chat. */
export async function call(page: Page): Promise<void> {
  await click(page, UI.voiceCall);
  await page.waitForSelector(UI.callView, { visible: true, ...LIMIT });
}

/** Takes a call that rings. */
export async function answerCall(page: Page): Promise<void> {
  await click(page, UI.callAccept);
}

/** Waits until the call's clock runs. */
export async function callConnected(page: Page): Promise<void> {
  await page.waitForFunction(
    (clock) => document.querySelector(clock) !== null,
    LIMIT,
    UI.callClock,
  );
}

/** Ends the call. */
export async function hangUp(page: Page): Promise<void> {
  const view = await page.waitForSelector(UI.callView, { visible: true, ...LIMIT });
  // Its buttons come up under the pointer.
  await view?.hover();
  await click(page, UI.callHangUp);
  await page.waitForSelector(UI.callView, { hidden: true, ...LIMIT });
}

/** Opens a room by its name in the list. */
export async function openRoom(page: Page, name: string): Promise<void> {
  await clickText(page, UI.roomInList, name);
  await waitForText(page, UI.roomName, name);
}

/** Opens the list of one's own sessions and gives what they are called. */
export async function sessionNames(page: Page): Promise<string[]> {
  await openUserMenu(page);
  await clickText(page, UI.menuItem, "All settings");
  await click(page, UI.sessionsTab);
  const heading = UI.sessionName;
  await page.waitForSelector(heading, { visible: true, ...LIMIT });
  const names = await page.$$eval(heading, (all) => all.map((one) => one.textContent ?? ""));
  await page.keyboard.press("Escape");
  await page.waitForSelector(UI.settings, { hidden: true, ...LIMIT });
  return names;
}

/** Signs out, encrypted messages or not. */
export async function signOut(page: Page): Promise<void> {
  await openUserMenu(page);
  await clickText(page, UI.menuItem, "Sign out");
  const confirm = UI.dialogButton;
  const out = UI.signedOut;
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
  await click(page, UI.userMenu);
  await page.waitForSelector(UI.userMenuOpen, { visible: true, ...LIMIT });
}

/** Points at a message and presses one of the buttons that come up. */
export async function act(
  page: Page,
  text: string,
  button: string,
  place: string = UI.roomBody,
): Promise<void> {
  await waitForText(page, `${place} ${UI.messageBody}`, text);
  const limit = Date.now() + LIMIT.timeout;
  // Tiles move while messages come in, and so does what lies under the pointer.
  for (;;) {
    const tiles = await page.$$(`${place} ${UI.message}`);
    for (const tile of tiles) {
      const body = await tile.$(UI.messageBody);
      if ((await body?.evaluate((one) => one.textContent?.trim())) !== text) continue;
      await page.mouse.move(0, 0);
      await body?.hover();
      const found = await tile.$(`${UI.messageActions} [aria-label="${button}"]`);
      if (found !== null && (await found.isVisible())) {
        await found.click();
        return;
      }
    }
    if (Date.now() > limit) throw new Error(`The message "${text}" has no button "${button}".`);
    await new Promise((resume) => setTimeout(resume, 200));
  }
}
