import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const here = fileURLToPath(new URL(".", import.meta.url));
const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));

test("what is right type-checks, and every line that is wrong is an error of its own", () => {
  // A `@ts-expect-error` over a line without an error is one itself.
  const checked = spawnSync(process.execPath, [join(typescript, "bin", "tsc"), "--noEmit", "-p", here], {
    encoding: "utf8",
  });
  expect(checked.stdout).toBe("");
  expect(checked.stderr).toBe("");
  expect(checked.status).toBe(0);
});
