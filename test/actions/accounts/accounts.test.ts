import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  findOwner,
  forgetNames,
  groupName,
  ownerName,
  resolveGroup,
  resolveOwner,
} from "../../../src/actions/accounts/accounts.ts";
import { makeSandbox, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(join(sandbox.root, "etc"));
  writeFileSync(
    join(sandbox.root, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\nvolley-app:x:4711:4712::/:/bin/sh\n# odd\n",
  );
  writeFileSync(join(sandbox.root, "etc/group"), "root:x:0:\nvolley-app:x:4712:root\n");
});
afterEach(() => sandbox[Symbol.dispose]());

it("finds ids by name, number and digits", async () => {
  const { system } = sandbox;
  expect(await resolveOwner(system, "volley-app")).toBe(4711);
  expect(await resolveGroup(system, "volley-app")).toBe(4712);
  expect(await resolveOwner(system, 12)).toBe(12);
  expect(await resolveOwner(system, "12")).toBe(12);
  expect(await ownerName(system, 4711)).toBe("volley-app");
  expect(await groupName(system, 4713)).toBeUndefined();
});

it("says which user or group is missing", async () => {
  const { system } = sandbox;
  await expect(resolveOwner(system, "no-such-volley")).rejects.toThrow(
    "chown failed: failed to look up user no-such-volley",
  );
  await expect(resolveGroup(system, "no-such-volley")).rejects.toThrow(
    "chgrp failed: failed to look up group no-such-volley",
  );
  expect(await findOwner(system, "no-such-volley")).toBeNull();
});

it("finds a user that was made after the file was read", async () => {
  const context = sandbox.context();
  expect(await findOwner(sandbox.system, "volley-late", context)).toBeNull();
  appendFileSync(join(sandbox.root, "etc/passwd"), "volley-late:x:4800:4800::/:/bin/sh\n");
  expect(await findOwner(sandbox.system, "volley-late", context)).toBe(4800);
});

it("reads anew once told to forget", async () => {
  const context = sandbox.context();
  expect(await ownerName(sandbox.system, 4711, context)).toBe("volley-app");
  writeFileSync(join(sandbox.root, "etc/passwd"), "renamed:x:4711:4712::/:/bin/sh\n");
  forgetNames(context);
  expect(await ownerName(sandbox.system, 4711, context)).toBe("renamed");
});
