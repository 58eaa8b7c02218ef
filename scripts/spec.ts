/** scripts/spec: some test files, with what they need built once. */

import { existsSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

import { Failure, main, must, root, run } from "./process.ts";
import { buildsFor, nodeTests, testFiles } from "./spec-files.ts";

const LIMIT_SECONDS = 3_600;
const usage = `usage: scripts/spec FILE… [--browser chromium|firefox] [--only PATTERN] [--fast] [--element DIR]
  --fast          modules that are built soon and run slowly, for trying a change
  --element DIR   a built Element Web in place of the tests' interface, for the specs that drive one`;

/** A path, or a part of one that only one test file has. */
function testFile(named: string, all: readonly string[]): string {
  const asPath = path.relative(root, path.resolve(named));
  if (existsSync(path.join(root, asPath)) && all.includes(asPath)) return asPath;
  const exact = all.filter(
    (file) => path.basename(file).replace(/\.(spec|test)\.ts$/, "") === named,
  );
  const found = exact.length > 0 ? exact : all.filter((file) => file.includes(named));
  const [first, ...others] = found;
  if (first === undefined) throw new Failure(`no test file's path holds "${named}".`);
  if (others.length > 0) {
    throw new Failure(`"${named}" could be any of these:\n  ${found.join("\n  ")}`);
  }
  return first;
}

main("spec", async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      browser: { type: "string" },
      only: { type: "string" },
      fast: { type: "boolean", default: false },
      element: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help || positionals.length === 0) {
    console.log(usage);
    return values.help ? 0 : 2;
  }
  const { browser, only, element } = values;
  if (element !== undefined && !existsSync(path.join(element, "index.html"))) {
    throw new Failure(`${element} holds no built Element Web: it has no index.html.`);
  }
  if (browser !== undefined && browser !== "chromium" && browser !== "firefox") {
    throw new Failure(`--browser must be chromium or firefox, not "${browser}".`);
  }
  const all = [
    ...testFiles(".spec.ts", "web-tests"),
    ...testFiles(".test.ts", "extension", "scripts", "web-tests"),
  ];
  const files = positionals.map((named) => testFile(named, all));
  for (const { folder, args } of buildsFor(files)) {
    await must(
      `The build in ${folder}`,
      "scripts/build",
      values.fast ? [...args, "--fast"] : args,
      {
        timeoutSeconds: 3_000,
        echo: true,
      },
    );
  }
  const [command, ...args] = nodeTests(files, {
    concurrency: 1,
    // One that is asked for by name may be made as long as it takes, such as by `MANTLE_ROOMS`.
    limitSeconds: LIMIT_SECONDS,
    ...(only === undefined ? {} : { only }),
  });
  const outcome = await run(command, args, {
    timeoutSeconds: LIMIT_SECONDS,
    echo: true,
    env: {
      ...(browser === undefined ? {} : { MANTLE_BROWSERS: browser }),
      ...(element === undefined ? {} : { MANTLE_ELEMENT: path.resolve(element) }),
    },
  });
  return outcome.ok ? 0 : 1;
});
