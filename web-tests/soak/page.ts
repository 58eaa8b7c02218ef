/** The half of the soak that runs inside the page. */
import type { Cycle } from "./traffic.ts";

export interface Lived {
  /** Requests by their status; 0 for those that were refused or had no answer. */
  readonly statuses: Record<string, number>;
  readonly requests: number;
  readonly syncs: number;
  /** Names that were set, and those that came back readable. */
  readonly changes: number;
  readonly names: number;
}

export interface PageOrders {
  readonly homeserver: string;
  readonly token: string;
  readonly cycles: readonly Cycle[];
  readonly syncsEach: number;
  /** For the test of the law: what the page forgets to let go, for each request. */
  readonly keptBytes: number;
}

interface SyncAnswer {
  readonly next_batch: string;
  readonly rooms?: {
    readonly join: Record<
      string,
      { timeline: { events: { type: string; content: { name?: string } }[] } }
    >;
  };
}

declare global {
  interface Window {
    soak: { live(orders: PageOrders): Promise<Lived> };
    /** What the page keeps on purpose. */
    soakLeak?: string[];
  }
}

window.soak = { live };

/** Lives through some cycles: sets a name, syncs, and asks as Element does, six requests at a time. */
async function live(orders: PageOrders): Promise<Lived> {
  const { homeserver, token, cycles, syncsEach, keptBytes } = orders;
  const authorization = { Authorization: `Bearer ${token}` };
  const statuses: Record<string, number> = {};
  let requests = 0;
  let syncs = 0;
  let changes = 0;
  let names = 0;
  const leak = (window.soakLeak ??= []);

  type Request = Cycle["requests"][number];
  const viaXhr = (request: Request): Promise<number> =>
    new Promise((resolve) => {
      const xhr = new XMLHttpRequest();
      xhr.open(request.method, request.url);
      if (request.signed) xhr.setRequestHeader("Authorization", authorization.Authorization);
      if (request.body !== undefined) xhr.setRequestHeader("Content-Type", "application/json");
      xhr.onloadend = () => resolve(xhr.status);
      xhr.send(request.body ?? null);
    });
  const viaFetch = async (request: Request): Promise<number> => {
    try {
      const response = await fetch(request.url, {
        method: request.method,
        headers: {
          ...(request.signed ? authorization : {}),
          ...(request.body === undefined ? {} : { "Content-Type": "application/json" }),
        },
        ...(request.body === undefined ? {} : { body: request.body }),
      });
      await response.arrayBuffer();
      return response.status;
    } catch {
      return 0;
    }
  };
  const within = async (request: Request, answer: Promise<number>): Promise<number> => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`No end within 60 s: ${request.method} ${request.url}`)),
        60_000,
      );
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  };
  const ask = async (request: Request): Promise<void> => {
    requests += 1;
    if (keptBytes > 0) leak.push(new Uint8Array(keptBytes).join(""));
    if (request.via === "beacon") {
      navigator.sendBeacon(request.url, request.body);
      return;
    }
    const answer = request.via === "xhr" ? viaXhr(request) : viaFetch(request);
    const status = await within(request, answer);
    statuses[status] = (statuses[status] ?? 0) + 1;
  };

  const sync = async (since: string): Promise<SyncAnswer> => {
    const answer = await fetch(
      `${homeserver}/_matrix/client/v3/sync?filter=0&timeout=0&since=${since}`,
      { headers: authorization },
    );
    if (!answer.ok) throw new Error(`Sync ${since}: ${answer.status}`);
    return (await answer.json()) as SyncAnswer;
  };

  for (const { index, requests: asked, change } of cycles) {
    const { roomId, name } = change;
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/state/m.room.name/`;
    const set = await fetch(homeserver + path, {
      method: "PUT",
      headers: { ...authorization, "Content-Type": "application/json" },
      body: JSON.stringify({ name }),
    });
    if (!set.ok) throw new Error(`Name ${index}: ${set.status} ${await set.text()}`);
    await set.text();
    changes += 1;
    for (let at = 0; at < syncsEach; at += 1) {
      const since = `soak-${index * syncsEach + at}`;
      let told = await sync(since);
      // With keys that a name waits for, they come first, and the rest by the same place once more.
      for (let again = 0; told.next_batch === since; again += 1) {
        if (again === 3) throw new Error(`Sync ${since} does not go on`);
        told = await sync(since);
      }
      syncs += 1;
      for (const event of told.rooms?.join[roomId]?.timeline.events ?? []) {
        if (event.type === "m.room.name" && event.content.name === name) {
          names += 1;
        }
      }
    }
    const waiting = asked.slice();
    const lane = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) await ask(next);
    };
    await Promise.all([lane(), lane(), lane(), lane(), lane(), lane()]);
  }
  return { statuses, requests, syncs, changes, names };
}
