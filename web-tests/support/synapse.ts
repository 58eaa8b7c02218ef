import { spawn } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A user of the test homeserver. */
export interface Account {
  readonly userId: string;
  readonly accessToken: string;
  readonly deviceId: string;
}

/** A running Synapse. */
export interface Synapse {
  readonly serverName: string;
  /** Loopback address, for a recorder's `forward`. */
  readonly baseUrl: string;
  register(user: string, password: string): Promise<Account>;
  /** One client-server call; rejects with method, path and status when it is not a 2xx. */
  call(
    account: Account | undefined,
    method: string,
    path: string,
    body?: unknown,
  ): Promise<Record<string, unknown>>;
  /**
   * Where its database holds the needles: in the raw bytes of its files, the write-ahead log
   * included, or in the text of a row. Anything found has its needle and place, nothing else.
   */
  searchDatabase(needles: readonly string[]): Promise<{ needle: string; place: string }[]>;
  stop(): Promise<void>;
}

const SERVER_NAME = "hs.example.org";
const START_LIMIT_MS = 180_000;

// The kernel ends Synapse when the test process dies in whatever way.
const STARTER = `
import ctypes, runpy, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
except Exception:
    pass
runpy.run_module("synapse.app.homeserver", run_name="__main__", alter_sys=True)
`;

/** Starts Synapse with a fresh database and waits until it answers. */
export async function startSynapse(
  options: {
    enableAuthenticatedMedia?: boolean;
    /** Merged into the answer of `/.well-known/matrix/client`. */
    wellKnown?: Record<string, unknown>;
    /** Merged into the configuration. */
    config?: Record<string, unknown>;
  } = {},
): Promise<Synapse> {
  const python = findPython();
  const folder = mkdtempSync(join(tmpdir(), "mantle-synapse-"));
  const port = await freePort();
  const baseUrl = `http://127.0.0.1:${port}`;
  const config = configuration(folder, port, options);
  const configPath = join(folder, "homeserver.yaml");
  // JSON is YAML.
  writeFileSync(configPath, JSON.stringify(config));
  writeFileSync(join(folder, "log.yaml"), JSON.stringify(LOG_CONFIG));
  const logPath = join(folder, "synapse.log");
  const log = openSync(logPath, "a");
  writeFileSync(join(folder, "signing.key"), "ed25519 a_test " + signingSeed() + "\n");
  const child = spawn(python, ["-c", STARTER, "-c", configPath], {
    cwd: folder,
    stdio: ["ignore", log, log],
  });

  let ended = false;
  const over = new Promise<void>((resolve) => {
    child.once("close", () => {
      ended = true;
      resolve();
    });
  });
  const atExit = (): void => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", atExit);
  exitOnSignals();
  const stop = async (): Promise<void> => {
    if (!ended) {
      child.kill("SIGTERM");
      const forced = setTimeout(() => child.kill("SIGKILL"), 3_000);
      await over;
      clearTimeout(forced);
    }
    process.removeListener("exit", atExit);
    rmSync(folder, { recursive: true, force: true });
  };

  const deadline = Date.now() + START_LIMIT_MS;
  for (;;) {
    if (await answers(baseUrl)) break;
    if (ended || Date.now() > deadline) {
      const tail = readFileSync(logPath, "utf8").split("\n").slice(-15).join("\n");
      await stop();
      throw new Error(`Synapse did not start; run scripts/setup. Its last words:\n${tail}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }

  const call: Synapse["call"] = async (account, method, path, body) => {
    const response = await fetch(baseUrl + path, {
      method,
      headers: {
        "Content-Type": "application/json",
        ...(account ? { Authorization: `Bearer ${account.accessToken}` } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const content = (await response.json()) as Record<string, unknown>;
    if (!response.ok) {
      throw new Error(`${method} ${path} → ${response.status} ${JSON.stringify(content)}`);
    }
    return content;
  };
  const register: Synapse["register"] = async (user, password) => {
    const answer = await call(undefined, "POST", "/_matrix/client/v3/register", {
      username: user,
      password,
      auth: { type: "m.login.dummy" },
    });
    return {
      userId: String(answer["user_id"]),
      accessToken: String(answer["access_token"]),
      deviceId: String(answer["device_id"]),
    };
  };
  const searchDatabase: Synapse["searchDatabase"] = async (needles) => {
    const inFiles = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== "homeserver.yaml")
      .flatMap((entry) => {
        const bytes = readFileSync(join(entry.parentPath, entry.name));
        return needles
          .filter((needle) => bytes.includes(needle))
          .map((needle) => ({ needle, place: `the bytes of ${entry.name}` }));
      });
    return [...inFiles, ...(await searchRows(python, join(folder, "homeserver.db"), needles))];
  };
  return { serverName: SERVER_NAME, baseUrl, register, call, searchDatabase, stop };
}

const NO_LIMIT = { per_second: 100_000, burst_count: 100_000 };
const LOG_CONFIG = {
  version: 1,
  disable_existing_loggers: false,
  handlers: { console: { class: "logging.StreamHandler" } },
  root: { level: "WARNING", handlers: ["console"] },
};

function configuration(
  folder: string,
  port: number,
  options: NonNullable<Parameters<typeof startSynapse>[0]>,
): Record<string, unknown> {
  return {
    server_name: SERVER_NAME,
    public_baseurl: `https://${SERVER_NAME}`,
    pid_file: join(folder, "homeserver.pid"),
    listeners: [
      {
        port,
        type: "http",
        bind_addresses: ["127.0.0.1"],
        x_forwarded: true,
        // The second for those who are given an OpenID token.
        resources: [{ names: ["client", "openid"], compress: false }],
      },
    ],
    database: { name: "sqlite3", args: { database: join(folder, "homeserver.db") } },
    log_config: join(folder, "log.yaml"),
    media_store_path: join(folder, "media"),
    signing_key_path: join(folder, "signing.key"),
    trusted_key_servers: [],
    suppress_key_server_warning: true,
    federation_domain_whitelist: [],
    report_stats: false,
    macaroon_secret_key: "only for tests",
    form_secret: "only for tests",
    bcrypt_rounds: 4,
    enable_registration: true,
    enable_registration_without_verification: true,
    allow_guest_access: true,
    // Synapse lets nobody list rooms unless it is told to.
    room_list_publication_rules: [{ alias: "#town-hall:*", action: "allow" }],
    enable_authenticated_media: options.enableAuthenticatedMedia ?? true,
    serve_server_wellknown: false,
    extra_well_known_client_content: options.wellKnown ?? {},
    presence: { enabled: true },
    user_directory: { enabled: true, search_all_users: true },
    experimental_features: {
      msc2666_enabled: true,
      msc3266_enabled: true,
      msc4133_enabled: true,
      msc4140_enabled: true,
    },
    rc_message: NO_LIMIT,
    rc_registration: NO_LIMIT,
    rc_registration_token_validity: NO_LIMIT,
    rc_login: { address: NO_LIMIT, account: NO_LIMIT, failed_attempts: NO_LIMIT },
    rc_joins: { local: NO_LIMIT, remote: NO_LIMIT },
    rc_joins_per_room: NO_LIMIT,
    rc_invites: { per_room: NO_LIMIT, per_user: NO_LIMIT, per_issuer: NO_LIMIT },
    rc_admin_redaction: NO_LIMIT,
    rc_3pid_validation: NO_LIMIT,
    rc_presence: { per_user: NO_LIMIT },
    rc_room_creation: NO_LIMIT,
    rc_user_directory: NO_LIMIT,
    rc_reports: NO_LIMIT,
    ...options.config,
  };
}

// A long row may be spread over pages of the file, where a search of the bytes would miss it.
const ROW_SEARCH = `
import json, sqlite3, sys
needles = json.load(sys.stdin)
database = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
database.text_factory = bytes
names = [name.decode() for (name,) in database.execute(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")]
found, rows = [], 0
for name in names:
    for row in database.execute('SELECT * FROM "%s"' % name):
        rows += 1
        text = b"\\0".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in row)
        for needle in needles:
            if needle.encode() in text:
                found.append({"needle": needle, "place": "the table " + name})
print(json.dumps({"rows": rows, "found": found}))
`;

async function searchRows(
  python: string,
  database: string,
  needles: readonly string[],
): Promise<{ needle: string; place: string }[]> {
  const child = spawn(python, ["-c", ROW_SEARCH, database], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(JSON.stringify(needles));
  let output = "";
  for await (const chunk of child.stdout) output += String(chunk);
  const result = JSON.parse(output) as {
    rows: number;
    found: { needle: string; place: string }[];
  };
  if (result.rows < 100) throw new Error(`Synapse's database has only ${result.rows} rows`);
  const seen = new Set<string>();
  return result.found.filter(({ needle, place }) => {
    const key = `${needle} ${place}`;
    return !seen.has(key) && seen.add(key);
  });
}

function findPython(): string {
  const given = process.env["MANTLE_SYNAPSE_PYTHON"];
  if (given) return given;
  const own = fileURLToPath(new URL("../../.venv/bin/python", import.meta.url));
  if (existsSync(own)) return own;
  throw new Error("Synapse is not installed: run scripts/setup.");
}

// 32 zero bytes would do; a signature of this server is never checked by anybody.
function signingSeed(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}

async function answers(baseUrl: string): Promise<boolean> {
  try {
    return (await fetch(`${baseUrl}/health`, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

let signalsHandled = false;
function exitOnSignals(): void {
  if (signalsHandled) return;
  signalsHandled = true;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => process.exit(1));
  }
}
