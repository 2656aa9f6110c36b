import { describe, expect, it } from "vitest";
import { formatMode, parseMode } from "../../../src/actions/shared/attributes.ts";
import { resolveScalar } from "../../../src/yaml/scalar.ts";

describe("parseMode", () => {
  it.each([
    [0o644, 0o600],
    ["0644", 0o600],
    ["644", 0o777],
    ["0o644", 0],
  ] as const)("%j is the whole mode", (mode, current) => {
    expect(parseMode(mode, current, false)).toBe(0o644);
  });

  // Expected values: the results of chmod(1) and stat(1) of coreutils 9.1 with umask 0.
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

  // As chmod(1) would take these digits.
  it.each([
    ...[400, 440, 444, 500, 544, 550, 555, 600, 604, 620, 640, 644, 660, 664, 666, 700, 705, 710, 711, 740],
    ...[744, 750, 751, 754, 755, 770, 771, 774, 775, 777, 222, 111, 1755, 1770, 1775, 1777, 2550, 2555, 2700],
    ...[2711, 2750, 2755, 2770, 2775, 2777, 3775, 3777, 4111, 4550, 4711, 4750, 4755, 6711, 6755, 7777],
  ])("%d was meant to be octal", (mode) => {
    const octal = String(mode).padStart(4, "0");
    expect(() => parseMode(mode, 0, false)).toThrow(`write "${octal}" (in TypeScript also 0o${mode})`);
    expect(parseMode(octal, 0, false)).toBe(Number.parseInt(octal, 8));
  });

  const classes = [
    ...[
      0o000, 0o400, 0o440, 0o444, 0o500, 0o510, 0o511, 0o550, 0o551, 0o555, 0o600, 0o640, 0o644, 0o660, 0o664,
    ],
    ...[
      0o666, 0o700, 0o710, 0o711, 0o740, 0o744, 0o750, 0o751, 0o754, 0o755, 0o770, 0o771, 0o774, 0o775, 0o777,
    ],
  ];
  it.each([0, 0o1000, 0o2000, 0o3000, 0o4000, 0o6000, 0o7000])("takes octal numbers with %o", (special) => {
    for (const bits of classes) expect(parseMode(special + bits, 0, false)).toBe(special + bits);
  });

  it("takes octal numbers that others are told from, and numbers of two digits", () => {
    for (const mode of [0o604, 0o606, 0o622, 0o610, 0o611, 0o070, 0o007, 0o022, 0o1, 0o705, 0o707])
      expect(parseMode(mode, 0, false)).toBe(mode);
  });

  // As YAML and INI inventories have them; YAML 1.1 takes a leading zero for octal.
  it.each([
    ["0644", 0o644],
    ["0600", 0o600],
    ["02775", 0o2775],
    ["0o0644", undefined],
    ["420", 0o644],
  ])("of a var that is written %s has the mode YAML gives it", (written, mode) => {
    const value = resolveScalar(written) as string | number;
    expect(parseMode(value, 0, false)).toBe(mode ?? 0o644);
  });

  it.each(["644", "400", "2775"])("of a var that is written %s is refused", (written) => {
    expect(() => parseMode(resolveScalar(written) as number, 0, false)).toThrow("is a decimal number");
  });

  it("says how 0o620 is written, whose number is 400", () => {
    expect(() => parseMode(0o620, 0, false)).toThrow(
      'mode 400 is a decimal number, not octal; write "0400" (in TypeScript also 0o400), or "0620" if the number itself is meant',
    );
  });

  it.each(["rw-r--r--", "u=q", "", "0888", "u", "99999", "u+rw,,g+r"])("refuses %j", (mode) => {
    expect(() => parseMode(mode, 0, false)).toThrow(`mode "${mode}" is not one chmod knows`);
  });
});
