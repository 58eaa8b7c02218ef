/** scripts/dev: builds again, fast, whenever a source changes. */

import { watch } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { main, root, run } from "./process.ts";

const usage = "usage: scripts/dev [--site ORIGIN]… [--out DIR]";
const watched = ["core", "extension", "scripts", "Cargo.toml", "manifest.json"];
/** What a build itself writes, and what editors leave for a moment. */
const ignored = /(^|\/)(target|node_modules|generated)\/|\.new$|~$|\.sw[a-z]$|\/4913$/;
/** An editor that saves many files does so within this time. */
const SETTLE_MS = 300;

main("dev", async () => {
  const { values } = parseArgs({
    options: {
      site: { type: "string", multiple: true, default: [] },
      out: { type: "string", default: "build/dev" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const args = [...values.site.flatMap((site) => ["--site", site]), "--out", values.out, "--fast"];
  let changed: string | undefined = "the start";
  let wake: () => void = () => undefined;
  for (const source of watched) {
    watch(path.join(root, source), { recursive: true }, (_event, name) => {
      const file = name === null || name === source ? source : path.join(source, name);
      if (ignored.test(file)) return;
      changed = file;
      wake();
    });
  }
  for (;;) {
    if (changed === undefined) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    console.log(`dev: building, because of ${changed ?? "a change"}`);
    changed = undefined;
    const start = performance.now();
    const outcome = await run("scripts/build", args, { timeoutSeconds: 1_800, echo: true });
    const seconds = ((performance.now() - start) / 1_000).toFixed(1);
    console.log(
      outcome.ok
        ? `dev: ready in ${values.out} after ${seconds} s; reload the extension and the page.`
        : `dev: the build failed after ${seconds} s; it is tried again with the next change.`,
    );
  }
});
