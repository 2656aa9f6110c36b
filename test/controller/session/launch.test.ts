import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ABSENT, INSTALLED } from "../../../src/controller/session/answers.ts";
import {
  attachCommand,
  commandOf,
  discardCommand,
  launchCommand,
  type Sent,
  verifyAndLaunchCommand,
} from "../../../src/controller/session/launch.ts";
import { CORRUPT, ownCopyScript, temporaryPath } from "../../../src/core/bundle.ts";
import { quote } from "../../../src/core/unix/shell.ts";

let home: string;
beforeEach(() => {
  // A home whose path needs quotes.
  home = join(mkdtempSync(join(tmpdir(), "volley-launch-")), "it's a home");
  mkdirSync(home);
});
afterEach(() => rmSync(join(home, ".."), { recursive: true }));

const SENT: Sent = { nonce: "n", bundle: true, runtime: undefined };
const script = 'echo "ran $0 $*"\n';
const id = createHash("sha256").update(script).digest("hex");
const cache = (): string => join(home, ".cache", "volley", "bundles");

function sh(
  command: string,
  input = "",
): { readonly code: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync("/bin/sh", ["-c", command], {
    env: { HOME: home, PATH: process.env.PATH },
    encoding: "utf8",
    input,
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
  expect(sh(verifyAndLaunchCommand(id, SENT, null))).toEqual(ran);
  expect(readdirSync(cache())).toEqual([`${id}.run`]);
  expect(sh(launchCommand(id, null))).toEqual(ran);
});

/** Kinds of damage to a bundle on a host. */
const DAMAGE: readonly (readonly [string, (file: string) => void])[] = [
  ["emptied", (file) => truncateSync(file)],
  ["truncated", (file) => truncateSync(file, statSync(file).size - 1)],
  ["changed in one byte", (file) => writeFileSync(file, script.replace("ran", "Ran"))],
  ["longer by a byte", (file) => appendFileSync(file, "x")],
  [
    "replaced by a directory",
    (file) => {
      rmSync(file);
      mkdirSync(join(file, "below"), { recursive: true });
    },
  ],
  [
    "replaced by a link to nothing",
    (file) => {
      rmSync(file);
      symlinkSync("nowhere", file);
    },
  ],
];

test.each(DAMAGE)("%s: sent again, once", (_what, damage) => {
  const file = join(cache(), `${id}.run`);
  sh(launchCommand(id, null));
  writeFileSync(file, script);
  damage(file);
  expect(sh(launchCommand(id, null))).toEqual({ code: 0, out: `${ABSENT}\n`, err: "" });
  writeFileSync(join(home, temporaryPath(id, "n")), script, { mode: 0o600 });
  expect(sh(verifyAndLaunchCommand(id, SENT, null)).out).toContain("ran ");
  expect(sh(launchCommand(id, null)).out).toContain("ran ");
});

test.each(DAMAGE)("a user's own copy that is %s is asked for again, once", (_what, damage) => {
  const file = join(cache(), `${id}.run`);
  mkdirSync(cache(), { recursive: true });
  writeFileSync(file, script);
  const start = (input: string) => sh(ownCopyScript(id, "n", script.length, `exec sh "$f" --target`), input);
  expect(start("").err).toBe("n:ready\n");
  damage(file);
  const again = start(script);
  expect(again.err).toBe("n:want\n");
  expect(again.out).toContain("ran ");
  expect(start("").err).toBe("n:ready\n");
});

test("sent damaged: said, and removed", () => {
  sh(launchCommand(id, null));
  writeFileSync(join(home, temporaryPath(id, "n")), `${script} `);
  expect(sh(verifyAndLaunchCommand(id, SENT, null))).toEqual({ code: 0, out: `${CORRUPT}\n`, err: "" });
  expect(readdirSync(cache())).toEqual([]);
});

test("discard removes what was sent in part, and nothing else", () => {
  sh(launchCommand(id, null));
  for (const nonce of ["mine", "other"]) writeFileSync(join(home, temporaryPath(id, nonce)), "");
  expect(sh(discardCommand(id, "mine")).code).toBe(0);
  expect(readdirSync(cache())).toEqual([`.${id}.other.tmp`]);
});

test("five bundles are kept, the newest, without what was compiled of the others", () => {
  // As long as bundles are named: a short name could stand in the command of another process, which would keep it.
  const old = Array.from({ length: 7 }, (_, age) =>
    createHash("sha256").update(`${home} ${age}`).digest("hex"),
  );
  sh(launchCommand(id, null));
  for (const [age, each] of old.entries()) {
    for (const name of [`${each}.run`, `${each}.run.playbook.js.v20-x64`]) {
      writeFileSync(join(cache(), name), "");
      utimesSync(join(cache(), name), 1_000_000 - age, 1_000_000 - age);
    }
  }
  writeFileSync(join(home, temporaryPath(id, "n")), script);
  sh(verifyAndLaunchCommand(id, SENT, null));
  const kept = readdirSync(cache()).filter((name) => name.endsWith(".run"));
  expect(kept.sort()).toEqual([id, ...old.slice(0, 4)].map((each) => `${each}.run`).sort());
  expect(existsSync(join(cache(), `${old[4]}.run.playbook.js.v20-x64`))).toBe(false);
});

test("those are kept that were used last, or are in use, however long ago they were sent", async () => {
  sh(launchCommand(id, null));
  const scripts = [script, ..."abcdefg".split("").map((name) => `echo going on; read -r line # ${name}\n`)];
  const names = scripts.map((text) => createHash("sha256").update(text).digest("hex"));
  for (const [age, name] of names.entries()) {
    writeFileSync(join(cache(), `${name}.run`), scripts[age]!);
    utimesSync(join(cache(), `${name}.run`), 1_000_000 - age, 1_000_000 - age);
  }
  const used = names[7]!;
  utimesSync(join(cache(), `${id}.run`), 1, 1);
  // By who comes back to a run, too.
  sh(attachCommand(names[6]!, null, { run: "r1", host: "web1" }, 2));
  const running = spawn("/bin/sh", ["-c", launchCommand(names[5]!, null)], {
    env: { HOME: home, PATH: process.env.PATH },
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(running.stdout, "data");
  utimesSync(join(cache(), `${names[5]!}.run`), 2, 2);
  expect(sh(launchCommand(used, null)).out).toBe("going on\n");
  const sent = createHash("sha256").update("echo new\n").digest("hex");
  writeFileSync(join(home, temporaryPath(sent, "n")), "echo new\n");
  expect(sh(verifyAndLaunchCommand(sent, SENT, null)).out).toBe("new\n");
  const kept = readdirSync(cache()).map((name) => name.slice(0, 12));
  running.stdin.end();
  await once(running, "close");
  const mostRecent = [sent, used, names[6]!, names[1]!, names[2]!];
  expect(kept.sort()).toEqual([...mostRecent, names[5]!].map((name) => name.slice(0, 12)).sort());
});

test("one that another start has put there meanwhile is not removed", () => {
  // As if it came between the look and what follows: the look itself finds none.
  mkdirSync(cache(), { recursive: true });
  const late = launchCommand(id, null).replace("umask 077", `cp "$HOME/late" "$f"; umask 077`);
  expect(late).not.toBe(launchCommand(id, null));
  writeFileSync(join(home, "late"), script);
  expect(sh(late).out).toBe(`${ABSENT}\n`);
  expect(existsSync(join(cache(), `${id}.run`))).toBe(true);
  // A damaged one is replaced by what is sent.
  writeFileSync(join(cache(), `${id}.run`), "");
  expect(sh(launchCommand(id, null)).out).toBe(`${ABSENT}\n`);
  expect(existsSync(join(cache(), `${id}.run`))).toBe(true);
});

test("temporary files of yesterday are swept, those of today are somebody's", () => {
  sh(launchCommand(id, null));
  writeFileSync(join(cache(), ".x.old.tmp"), "");
  utimesSync(join(cache(), ".x.old.tmp"), 1_000_000, 1_000_000);
  writeFileSync(join(cache(), ".x.new.tmp"), "");
  writeFileSync(join(home, temporaryPath(id, "n")), script);
  sh(verifyAndLaunchCommand(id, SENT, null));
  expect(readdirSync(cache()).filter((name) => name.endsWith(".tmp"))).toEqual([".x.new.tmp"]);
});

test.each([
  ["of root", "0", "apt-get", "0 ready"],
  ["of root that fails", "0", "failing", "100 E: Could not get lock"],
  ["of another user, by sudo", "1000", "apt-get", "0 ready"],
  ["of another user, whom sudo asks", "1000", "sudo", "1 sudo: a password is required"],
])("the package manager %s: its exit code and its last line", (_, user, failing, answer) => {
  const bin = mkdtempSync(join(home, "bin-"));
  const program = (name: string, text: string): void =>
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  program("id", `echo ${user}`);
  program(
    "apt-get",
    failing === "failing"
      ? "echo 'E: Could not get lock' >&2; exit 100"
      : "echo 'Setting up nodejs'; echo ready",
  );
  program(
    "sudo",
    failing === "sudo" ? 'echo "sudo: a password is required" >&2; exit 1' : 'shift 2; exec "$@"',
  );
  const context = { id, part: { run: "r", host: "web1" }, node: { runtimes: [] }, nonceOf: () => "n" };
  const install = commandOf({ is: "install" }, null, context);
  const { out, err } = sh(`PATH=${quote(bin)}:$PATH; ${install}`);
  expect(out).toBe(`${INSTALLED} ${answer}\n`);
  expect(err.trim().split("\n").at(-1)).toBe(answer.slice(answer.indexOf(" ") + 1));
});
