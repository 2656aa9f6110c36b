import { describe, expect, it } from "vitest";
import { formatMode, parseMode } from "../../../src/actions/lib/mode.ts";

describe("parseMode", () => {
  it.each([
    [0o644, 0o600],
    ["0644", 0o600],
    ["644", 0o777],
    ["0o644", 0],
  ] as const)("%j is the whole mode", (mode, current) => {
    expect(parseMode(mode, current, false)).toBe(0o644);
  });

  // What chmod(1) and stat(1) of coreutils 9.1 give with umask 0.
  it.each([
    ["u=rw,g=r,o=", 0o777, false, 0o640],
    ["a+x", 0o644, false, 0o755],
    ["+x", 0o644, false, 0o755],
    ["go-w", 0o666, false, 0o644],
    ["u+rwX", 0o600, false, 0o600],
    ["u=rwX,go=rX", 0o600, true, 0o755],
    ["u=rwX,go=rX", 0o700, false, 0o755],
    ["a=,u=rX", 0o777, false, 0o400],
    ["g=u", 0o640, false, 0o660],
    ["o=g-w", 0o664, false, 0o664],
    ["go=u", 0o700, false, 0o777],
    ["u=g", 0o050, false, 0o550],
    ["u+s", 0o755, false, 0o4755],
    ["g+s", 0o755, true, 0o2755],
    ["ug+s", 0o755, false, 0o6755],
    ["u-s", 0o4755, false, 0o755],
    ["+t", 0o777, true, 0o1777],
    ["o+t", 0o777, true, 0o1777],
    ["u=rwx,g=rx,o=rx", 0, true, 0o755],
    ["u+x-w", 0o600, false, 0o500],
    ["=r", 0o777, false, 0o444],
  ] as const)("%s on %o (directory: %s)", (mode, current, isDirectory, expected) => {
    expect(formatMode(parseMode(mode, current, isDirectory))).toBe(formatMode(expected));
  });

  it.each([644, 755, 600])("%d was meant to be octal", (mode) => {
    expect(() => parseMode(mode, 0, false)).toThrow(`write 0o${mode} or "0${mode}"`);
  });

  it.each(["rw-r--r--", "u=q", "", "0888", "u", "99999", "u+rw,,g+r"])("refuses %j", (mode) => {
    expect(() => parseMode(mode, 0, false)).toThrow(`mode "${mode}" is not one chmod knows`);
  });
});
