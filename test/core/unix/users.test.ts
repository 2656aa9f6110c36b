import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import {
  type Become,
  becomeCommand,
  createBecomeReader,
  isTalked,
  needsTerminal,
} from "../../../src/core/unix/users.ts";

const nonce = "volley-0123456789abcdef";

interface ReadAll {
  text: string;
  heard: string[];
  whose?: string;
  from?: number;
}

/** Read all pieces, and return the reader's whole result. */
function readAll(method: Become["method"], pieces: readonly string[]): ReadAll {
  const reader = createBecomeReader(nonce, method);
  const all: ReadAll = { text: "", heard: [] };
  for (const piece of pieces) {
    const { text, heard, whose, from } = reader.push(piece);
    all.text += text;
    all.heard.push(...heard);
    if (whose !== undefined) all.whose = whose;
    if (from !== undefined) all.from = from;
  }
  all.text += reader.end();
  return all;
}

const sudoTalk = `a banner\n${nonce}:password:ops,\n${nonce}:ready\n${nonce}:password:`;

test.each([1, 2, 3, 7, 1_000])(
  "sudo's prompt and the word that it is over, in pieces of %d characters",
  (size) => {
    const pieces = sudoTalk.match(new RegExp(`[\\s\\S]{1,${size}}`, "g"))!;
    const { text, heard, whose } = readAll("sudo", pieces);
    expect(heard).toEqual(["ask", "ready"]);
    expect(whose).toBe("ops");
    // After `ready` nothing is a word any more.
    expect(text.replaceAll("\n", "")).toBe(`a banner${nonce}:password:`);
  },
);

test.each([1, 2, 3, 7, 1_000])(
  "sudo-rs writes brackets around the prompt, in pieces of %d characters",
  (size) => {
    const talk = `[sudo: lecture] be good\n[sudo: ${nonce}:password:%p,] Password: \n${nonce}:ready\n[sudo: x] Password: `;
    const pieces = talk.match(new RegExp(`[\\s\\S]{1,${size}}`, "g"))!;
    expect(readAll("sudo", pieces)).toEqual({
      text: "[sudo: lecture] be good\n[sudo: x] Password: ",
      heard: ["ask", "ready"],
    });
  },
);

test.each([1, 2, 3, 7, 1_000])("an archive is wanted from a byte on, in pieces of %d characters", (size) => {
  const talk = `${nonce}:password:ops,\n${nonce}:part:655360,\ntar: oh\n${nonce}:want\n`;
  const pieces = talk.match(new RegExp(`[\\s\\S]{1,${size}}`, "g"))!;
  expect(readAll("sudo", pieces)).toEqual({
    ...{ text: "tar: oh\n", heard: ["ask", "part", "want"] },
    ...{ whose: "ops", from: 655_360 },
  });
});

test("a prompt without the nonce is output, whatever it looks like", () => {
  const forged = "[sudo] password for ops: volley-0000000000000000:password: volley-01234:ready\n";
  expect(readAll("sudo", [forged])).toEqual({ text: forged, heard: [] });
  expect(readAll("su", ["Password: "])).toEqual({ text: "Password: ", heard: [] });
});

test.each(["Password: ", "doas (ops@web1) password: ", "Passwort: ", "Enter PASSCODE:"])(
  "su and doas: %j behind the beginning asks",
  (prompt) => {
    expect(
      readAll("su", [`Password: \n${nonce}:begin\n`, prompt, `\n${nonce}:ready\n`, "Password: "]),
    ).toEqual({
      text: "Password: \n\nPassword: ",
      heard: ["ask", "ready"],
    });
  },
);

test("a whole line behind the beginning does not ask", () => {
  expect(readAll("su", [`${nonce}:begin\n`, "su: Authentication failure:\n"]).heard).toEqual([]);
});

/** Runs a command line with stand-ins for the programs, and gives the words they were started with. */
function words(become: Become): readonly string[] {
  const { method, exe = method } = become;
  const stand = `${exe.replace(/\W/g, "_")}() { :; }`;
  const line = becomeCommand(become, nonce, "echo $0", '"$f"').replace(
    "exec env LC_ALL=C ",
    "printf '%s\\n' ",
  );
  const { stdout } = spawnSync("sh", ["-c", `${stand}\nf="a file"\n${line}`], { encoding: "utf8" });
  return stdout.trimEnd().split("\n");
}

test.each([
  [
    { user: "root", method: "sudo" },
    ["sudo", "-n", "-H", "--", "sh", "-c", "unset LC_ALL; echo $0", "a file"],
  ],
  [
    { user: "o'neil", method: "sudo", password: "x", flags: ["-S", "-n", "-i"], exe: "/opt/my sudo" },
    [
      "/opt/my sudo",
      "-S",
      "-p",
      `${nonce}:password:%p,`,
      "-H",
      "-u",
      "o'neil",
      "-i",
      "--",
      "sh",
      "-c",
      "unset LC_ALL; echo $0",
      "a file",
    ],
  ],
  [
    { user: "app", method: "doas" },
    ["doas", "-n", "-u", "app", "--", "sh", "-c", "unset LC_ALL; echo $0", "a file"],
  ],
  [
    { user: "app", method: "doas", password: "x" },
    ["doas", "-u", "app", "--", "sh", "-c", "unset LC_ALL; echo $0", "a file"],
  ],
  [
    { user: "app", method: "su", password: "x", flags: ["-l"] },
    ["su", "-l", "-s", "/bin/sh", "-c", "unset LC_ALL; echo $0", "app", "a file"],
  ],
] as const satisfies readonly (readonly [Become, readonly string[]])[])(
  "%j: the command line, without the password",
  (become, line) => {
    expect(words(become)).toEqual(line);
  },
);

test("what is talked to first, and what needs a terminal for it", () => {
  expect(isTalked({ method: "sudo" })).toBe(false);
  expect(isTalked({ method: "sudo", password: "x" })).toBe(true);
  expect(isTalked({ method: "su" })).toBe(true);
  expect(needsTerminal({ method: "doas" })).toBe(false);
  expect(needsTerminal({ method: "doas", password: "x" })).toBe(true);
  expect(needsTerminal({ method: "su", password: "x" })).toBe(false);
});

test.runIf(process.getuid?.() === 0)("su takes no user for an option, whatever the name begins with", () => {
  for (const user of ["-c", "--help", "-x"]) {
    const line = becomeCommand({ user, method: "su" }, "n", "echo it is run");
    const { stdout, stderr } = spawnSync("sh", ["-c", line], { encoding: "utf8" });
    expect(stdout).toBe("");
    expect(stderr).toContain(`user ${user} does not exist`);
  }
});
