import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  ABSENT,
  CORRUPT,
  discardCommand,
  launchCommand,
  quote,
  temporaryPath,
  verifyAndLaunchCommand,
} from "../../src/controller/launch.ts";

let home: string;
beforeEach(() => {
  // A home whose path needs quotes.
  home = join(mkdtempSync(join(tmpdir(), "volley-launch-")), "it's a home");
  mkdirSync(home);
});
afterEach(() => rmSync(join(home, ".."), { recursive: true }));

const script = 'echo "ran $0 $*"\n';
const id = createHash("sha256").update(script).digest("hex");
const cache = (): string => join(home, ".cache", "volley", "bundles");

function sh(command: string): { readonly code: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync("/bin/sh", ["-c", command], {
    env: { HOME: home, PATH: process.env.PATH },
    encoding: "utf8",
  });
  return { code: status, out: stdout, err: stderr };
}

test.each(["plain", "two words", "it's", "$HOME `id`", "", "a\nb", "-n", "\\", '"'])(
  "quote(%j) is one word for a shell",
  (word) => {
    expect(execFileSync("/bin/sh", ["-c", `printf %s ${quote(word)}`], { encoding: "utf8" })).toBe(word);
  },
);

test("absent: says so and makes the directory, for its owner only", () => {
  expect(sh(launchCommand(id, null))).toEqual({ code: 0, out: `${ABSENT}\n`, err: "" });
  expect(statSync(cache()).mode & 0o777).toBe(0o700);
});

test("sent whole: named and started; then found", () => {
  sh(launchCommand(id, null));
  writeFileSync(join(home, temporaryPath(id, "n")), script, { mode: 0o600 });
  const ran = { code: 0, out: `ran ${join(cache(), `${id}.run`)} --target ${id}\n`, err: "" };
  expect(sh(verifyAndLaunchCommand(id, "n", null))).toEqual(ran);
  expect(readdirSync(cache())).toEqual([`${id}.run`]);
  expect(sh(launchCommand(id, null))).toEqual(ran);
});

test("sent damaged: said, and removed", () => {
  sh(launchCommand(id, null));
  writeFileSync(join(home, temporaryPath(id, "n")), `${script} `);
  expect(sh(verifyAndLaunchCommand(id, "n", null))).toEqual({ code: 0, out: `${CORRUPT}\n`, err: "" });
  expect(readdirSync(cache())).toEqual([]);
});

test("discard removes what was sent in part, and nothing else", () => {
  sh(launchCommand(id, null));
  for (const nonce of ["mine", "other"]) writeFileSync(join(home, temporaryPath(id, nonce)), "");
  expect(sh(discardCommand(id, "mine")).code).toBe(0);
  expect(readdirSync(cache())).toEqual([`.${id}.other.tmp`]);
});

test("five bundles are kept, the newest, without what was compiled of the others", () => {
  sh(launchCommand(id, null));
  for (let age = 1; age <= 7; age++) {
    for (const name of [`old${age}.run`, `old${age}.run.playbook.js.v20-x64`]) {
      writeFileSync(join(cache(), name), "");
      utimesSync(join(cache(), name), 1_000_000 - age, 1_000_000 - age);
    }
  }
  writeFileSync(join(home, temporaryPath(id, "n")), script);
  sh(verifyAndLaunchCommand(id, "n", null));
  const kept = readdirSync(cache()).filter((name) => name.endsWith(".run"));
  expect(kept.sort()).toEqual([`${id}.run`, "old1.run", "old2.run", "old3.run", "old4.run"].sort());
  expect(existsSync(join(cache(), "old5.run.playbook.js.v20-x64"))).toBe(false);
});

test("temporary files of yesterday are swept, those of today are somebody's", () => {
  sh(launchCommand(id, null));
  writeFileSync(join(cache(), ".x.old.tmp"), "");
  utimesSync(join(cache(), ".x.old.tmp"), 1_000_000, 1_000_000);
  writeFileSync(join(cache(), ".x.new.tmp"), "");
  writeFileSync(join(home, temporaryPath(id, "n")), script);
  sh(verifyAndLaunchCommand(id, "n", null));
  expect(readdirSync(cache()).filter((name) => name.endsWith(".tmp"))).toEqual([".x.new.tmp"]);
});
