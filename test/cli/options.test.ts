import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterEach, beforeEach, expect, test } from "vitest";
import { addBecomeOptions, type BecomeFlags, becomeOptions, wholeSeconds } from "../../src/cli/options.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-become-"));
});
afterEach(() => {
  delete process.env.VOLLEY_BECOME_PASSWORD;
  rmSync(directory, { recursive: true });
});

function flagsOf(...argv: readonly string[]): BecomeFlags {
  const command = addBecomeOptions(new Command().option("--become").option("--become-user <name>"));
  return command.exitOverride().parse(argv, { from: "user" }).opts();
}

test("nothing said: nothing wanted", async () => {
  expect(await becomeOptions(flagsOf())).toEqual({});
});

test("who and how", async () => {
  expect(await becomeOptions(flagsOf("--become"))).toEqual({ become: true });
  expect(await becomeOptions(flagsOf("--become", "--become-user", "app", "--become-method", "su"))).toEqual({
    become: "app",
    becomeMethod: "su",
  });
});

test("the password: from the environment, which forgets it, or the first line of a file, which is nearer", async () => {
  process.env.VOLLEY_BECOME_PASSWORD = "from the environment";
  expect(await becomeOptions(flagsOf())).toEqual({ becomePassword: "from the environment" });
  expect(process.env.VOLLEY_BECOME_PASSWORD).toBeUndefined();
  const file = join(directory, "password");
  writeFileSync(file, " of a file \r\nand more\n");
  process.env.VOLLEY_BECOME_PASSWORD = "from the environment";
  expect(await becomeOptions(flagsOf("--become-password-file", file))).toEqual({
    becomePassword: " of a file ",
  });
});

test("what cannot be: said", async () => {
  const file = join(directory, "password");
  await expect(becomeOptions(flagsOf("--become-password-file", file))).rejects.toMatchObject({
    code: "USAGE",
    message: expect.stringContaining(file),
  });
  writeFileSync(file, "\n");
  await expect(becomeOptions(flagsOf("--become-password-file", file))).rejects.toThrow("is empty");
});

test("limits of whole seconds that a timer can keep", () => {
  expect(wholeSeconds("15")).toBe(15);
  for (const text of ["0", "1.5", "", "x"]) expect(() => wholeSeconds(text)).toThrow("a whole number of 1");
  expect(() => wholeSeconds("99999999")).toThrow("It must be 2147483 at most.");
});
