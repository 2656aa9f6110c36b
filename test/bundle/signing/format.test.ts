import { expect, test } from "vitest";
import {
  armorOf,
  bytesToSign,
  dearmor,
  MAX_ARMOR_BYTES,
  takeApart,
  withSignature,
} from "../../../src/bundle/signing/format.ts";

const string = (text: string | Buffer): Buffer => {
  const bytes = Buffer.from(text as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

/** A signature as OpenSSH's PROTOCOL.sshsig has it; of these fields, no key is asked for. */
function blobOf({
  version = 1,
  namespace = "volley",
  reserved = "",
  hash = "sha512",
  signature = Buffer.alloc(64, 7) as Buffer,
  behind = Buffer.alloc(0) as Buffer,
} = {}): Buffer {
  const head = Buffer.from(`SSHSIG\0\0\0${String.fromCharCode(version)}`, "latin1");
  return Buffer.concat([
    head,
    ...[Buffer.alloc(51, 3), namespace, reserved, hash, signature].map(string),
    behind,
  ]);
}

/** The smallest zip: an end record. */
const EMPTY_ZIP = Buffer.concat([Buffer.from("PK\u0005\u0006", "latin1"), Buffer.alloc(18)]);
const BUNDLE = Buffer.concat([Buffer.from("#!/bin/sh\nexit 1\n"), EMPTY_ZIP]);

const signedWith = (blob: Buffer): Buffer => withSignature(bytesToSign(BUNDLE), blob);

test("a signature is the zip's comment, and comes out as it went in", () => {
  for (let size = 60; size < 200; size++) {
    const blob = blobOf({ signature: Buffer.alloc(size, size) });
    const file = signedWith(blob);
    const { signed, armor } = takeApart(file, "site.run");
    expect(signed.equals(BUNDLE.subarray(0, -2))).toBe(true);
    expect(dearmor(armor)?.equals(blob)).toBe(true);
    const commentAt = BUNDLE.length;
    expect(file.readUInt16LE(commentAt - 2)).toBe(file.length - commentAt);
    expect(armor.split("\n").every((line) => line.length <= 70)).toBe(true);
  }
});

test("only a bundle without a signature is signed, by one that is not too long", () => {
  expect(() => bytesToSign(signedWith(blobOf()))).toThrow(/no signature yet/);
  expect(() => bytesToSign(Buffer.from("too short"))).toThrow(/no signature yet/);
  expect(() => signedWith(blobOf({ signature: Buffer.alloc(MAX_ARMOR_BYTES) }))).toThrow(/too long/);
});

test("a file without a signature is told from one whose signature is damaged", () => {
  expect(() => takeApart(BUNDLE, "site.run")).toThrow("site.run is not signed");
  expect(() => takeApart(Buffer.alloc(0), "site.run")).toThrow("site.run is not signed");
  const file = signedWith(blobOf());
  expect(() => takeApart(file.subarray(0, -1), "site.run")).toThrow("site.run has a damaged signature");
  expect(() => takeApart(Buffer.concat([file, Buffer.from("\n")]), "site.run")).toThrow(/damaged/);
});

test.each([
  ["version 0, which OpenSSH takes for 1", { version: 0 }, /damaged/],
  ["version 2", { version: 2 }, /damaged/],
  ["a field reserved that holds something, which OpenSSH passes over", { reserved: "x" }, /damaged/],
  ["an unknown hash", { hash: "md5" }, /damaged/],
  ["bytes behind its fields", { behind: Buffer.from([0]) }, /damaged/],
  ["a sixth field", { behind: string("x") }, /damaged/],
  ["another namespace", { namespace: "git" }, /made for something else/],
  ["a namespace that begins alike", { namespace: "volley " }, /made for something else/],
])("a signature with %s is refused", (_what, fields, why) => {
  expect(() => takeApart(signedWith(blobOf(fields)), "site.run")).toThrow(why);
});

/** The same signature in other armor, with the length that fits it. */
function inArmor(armor: string): Buffer {
  const comment = Buffer.from(`\n${armor}`, "latin1");
  const file = Buffer.concat([BUNDLE, comment]);
  file.writeUInt16LE(comment.length, BUNDLE.length - 2);
  return file;
}

test("armor that means the same is refused in any form but one", () => {
  for (const size of [64, 65, 66]) {
    const blob = blobOf({ signature: Buffer.alloc(size, 255) });
    const armor = armorOf(blob);
    expect(takeApart(inArmor(armor), "site.run").armor).toBe(armor);
    const lines = armor.split("\n");
    const others = [
      armor.replaceAll("\n", "\r\n"),
      armor.replace("\n", "\n\n"),
      armor.replace("\n", " \n"),
      armor.slice(0, -1),
      `${armor}\n`,
      lines.toSpliced(2, 0, "").join("\n"),
      [lines[0], lines.slice(1, -2).join(""), ...lines.slice(-2)].join("\n"),
      armor.replaceAll("/", "_"),
      armor.replace(/=*\n-----END/, "=$&"),
      armor.replace("SIGNATURE-----\n", "SIGNATURE-----\nComment: none\n"),
    ];
    const padding = blob.toString("base64").split("=").length - 1;
    if (padding > 0) {
      others.push(armor.replace(/(\n?=)+/, ""));
      // The bits of the last character that mean nothing.
      const bits = padding === 2 ? 16 : 4;
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
      const ending = /([A-Za-z0-9+/])((\n?=)+)/;
      const last = ending.exec(armor)![1]!;
      const first = alphabet.indexOf(last);
      expect(first % bits).toBe(0);
      for (let added = 1; added < bits; added++)
        others.push(armor.replace(ending, `${alphabet[first + added]}$2`));
    }
    for (const other of others)
      expect(() => takeApart(inArmor(other), "site.run"), JSON.stringify(other)).toThrow(/signature|signed/);
  }
});
