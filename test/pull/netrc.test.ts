import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findLogin, loginFromNetrc } from "../../src/pull/netrc.ts";

const FILE = `# The servers of ours
machine a.example login ann password sesame # machine b.example
machine b.example
\tlogin bob
\taccount x password "a \\"b\\" \\\\c"\r
macdef upload
machine c.example login no password no

machine c.example login carl password #1
machine d.example login dora
machine e.example
machine f.example login macdef password fine macdef upload
# A comment of the macro
machine g.example login no password no

machine g.example login gil password grey
default login anonymous password guest
`;

test.each([
  ["a.example", "ann", "sesame"],
  ["A.Example", "ann", "sesame"],
  ["b.example", "bob", 'a "b" \\c'],
  ["c.example", "carl", "#1"],
  ["d.example", "dora", ""],
  ["f.example", "macdef", "fine"],
  ["g.example", "gil", "grey"],
  ["z.example", "anonymous", "guest"],
])("the login of %s", (host, username, password) => {
  expect(findLogin(FILE, host)).toEqual({ username, password });
});

test("no login", () => {
  expect(findLogin(FILE, "e.example")).toBeUndefined();
  expect(findLogin("machine a login b password c", "x")).toBeUndefined();
  expect(findLogin("login a password b machine", "x")).toBeUndefined();
  expect(findLogin("macdef x\nmachine a login b password c", "a")).toBeUndefined();
});

test("the file is that of $NETRC, or in the home; without one there is no login", () => {
  const HOME = mkdtempSync(join(tmpdir(), "volley-netrc-"));
  try {
    expect(loginFromNetrc("a.example", { HOME })).toBeUndefined();
    writeFileSync(join(HOME, ".netrc"), FILE, { mode: 0o600 });
    expect(loginFromNetrc("a.example", { HOME })?.username).toBe("ann");
    const NETRC = join(HOME, "other");
    writeFileSync(NETRC, "machine a.example login eve password x");
    expect(loginFromNetrc("a.example", { HOME, NETRC })?.username).toBe("eve");
    rmSync(NETRC);
    mkdirSync(NETRC);
    expect(() => loginFromNetrc("a.example", { HOME, NETRC })).toThrow(
      expect.objectContaining({
        code: "PULL_FAILED",
        message: expect.stringMatching(/^cannot read .*other: /),
      }),
    );
    // Reading a FIFO would never end.
    expect(() => loginFromNetrc("a.example", { NETRC: "/dev/null" })).toThrow("it is no regular file");
  } finally {
    rmSync(HOME, { recursive: true });
  }
});
