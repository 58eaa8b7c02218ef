/**
 * Runs core/bindings/shields/tests/wasm.rs in Chromium and in Firefox: the tests of `wasm-pack test --headless`,
 * with the runner and the drivers that scripts/setup installed.
 */

import { existsSync } from "node:fs";
import path from "node:path";

import { main, root, run } from "../../scripts/process.ts";

const drivers = {
  chromium: { CHROMEDRIVER: process.env["CHROMEDRIVER"] ?? "/usr/bin/chromedriver" },
  firefox: { GECKODRIVER: process.env["GECKODRIVER"] ?? path.join(root, ".tools/bin/geckodriver") },
};

main("wasm tests", async () => {
  let failed = false;
  for (const [browser, driver] of Object.entries(drivers)) {
    const missing = Object.values(driver).find((file) => !existsSync(file));
    if (missing !== undefined) {
      console.error(`${missing} is not there; run scripts/setup.`);
      failed = true;
      continue;
    }
    console.log(`--- ${browser}`);
    const result = await run(
      "scripts/wasm-toolchain",
      ["test", "--package", "mantle-shields-wasm", "--test", "wasm"],
      {
        timeoutSeconds: 900,
        echo: true,
        env: {
          // The runner takes the first driver that is named, so only one may be.
          CHROMEDRIVER: undefined,
          GECKODRIVER: undefined,
          ...driver,
          CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER: path.join(
            root,
            ".tools/bin/wasm-bindgen-test-runner",
          ),
          WASM_BINDGEN_TEST_TIMEOUT: "120",
        },
      },
    );
    if (result.ok) continue;
    failed = true;
    if (result.timedOut) console.error(`${browser} did not end within 900 s.`);
    // A browser that never started prints no counts; they must still show.
    if (!result.output.includes("test result:")) {
      console.log("test result: FAILED. 0 passed; 1 failed; 0 ignored");
    }
  }
  return failed ? 1 : 0;
});
