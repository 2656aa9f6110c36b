import { describe, expect, it } from "vitest";
import { resolveForRoot, type Seen } from "../../../src/core/unix/permissions.ts";

const USER = 1000;
const OTHER = 1001;
const root = { uid: 0 };
const link = (uid: number, to: string): Seen => ({ uid, link: to });

const TREE: Readonly<Record<string, Seen>> = {
  "/": root,
  "/etc": root,
  "/etc/shadow": root,
  "/bin": link(0, "usr/bin"),
  "/usr": root,
  "/usr/bin": root,
  "/home": root,
  "/home/u": { uid: USER },
  "/home/u/own": { uid: USER },
  "/home/u/own/f": { uid: USER },
  "/home/u/of-root": root,
  "/home/u/to-etc": link(USER, "/etc"),
  "/home/u/to-own": link(USER, "own"),
  "/home/u/up": link(USER, "../../etc/shadow"),
  "/home/u/chain": link(USER, "to-etc/shadow"),
  "/home/u/to-missing": link(USER, "/etc/nologin"),
  "/home/u/to-own-missing": link(USER, "own/new"),
  "/home/u/by-root": link(0, "/etc"),
  "/home/u/to-other": link(USER, "/home/o/f"),
  "/home/u/loop": link(USER, "loop"),
  "/home/u/out-and-back": link(USER, "/etc/../home/u/own"),
  "/home/o": { uid: OTHER },
  "/home/o/f": { uid: OTHER },
  "/home/o/to-u": link(OTHER, "/home/u/to-own"),
  "/www": link(0, "/home/u/to-etc"),
};

function resolve(path: string): string {
  const walk = resolveForRoot(path);
  let step = walk.next();
  while (step.done !== true) step = walk.next(TREE[step.value] ?? null);
  return step.value;
}

describe("a path resolved for root", () => {
  it.each([
    ["/", "/"],
    ["/etc/shadow", "/etc/shadow"],
    ["/etc//./shadow/", "/etc/shadow"],
    ["/bin/sh", "/usr/bin/sh"],
    ["/home/u/of-root/x", "/home/u/of-root/x"],
    ["/home/u/to-own/f", "/home/u/own/f"],
    ["/home/u/to-own", "/home/u/own"],
    ["/home/u/to-own-missing", "/home/u/own/new"],
    ["/home/u/by-root/shadow", "/etc/shadow"],
    ["/home/u/out-and-back/f", "/home/u/own/f"],
    ["/nothing/at/all", "/nothing/at/all"],
  ])("%s leads to %s", (path, real) => {
    expect(resolve(path)).toBe(real);
  });

  it.each([
    ["/home/u/to-etc", "/etc"],
    ["/home/u/to-etc/shadow", "/etc/shadow"],
    ["/home/u/to-etc/new", "/etc/new"],
    ["/home/u/up", "/etc/shadow"],
    ["/home/u/chain", "/etc/shadow"],
    ["/home/u/to-missing", "/etc/nologin"],
    ["/home/u/to-other", "/home/o/f"],
    ["/home/u/to-own/../../../etc/shadow", "/etc/shadow"],
    ["/www/shadow", "/etc/shadow"],
  ])("%s is refused, because the user's link leads to %s", (path, to) => {
    expect(() => resolve(path)).toThrow(`and ${to} is not that user's`);
  });

  it("is refused where links of two users follow each other, and where they lead in a circle", () => {
    expect(() => resolve("/home/o/to-u/f")).toThrow("root does not follow /home/o/to-u");
    expect(() => resolve("/home/u/loop")).toThrow("too many symbolic links");
  });
});
