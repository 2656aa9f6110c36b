import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Is OpenSSH's ssh-keygen here? */
export const hasSshKeygen = spawnSync("ssh-keygen", ["-Y"]).error === undefined;

/** Makes SSH keys, and the file that allows them to sign. */
export interface Keyring {
  readonly directory: string;
  path(name: string): string;
  /** Make a key; returns the path of its private half. */
  make(name: string, ...args: readonly string[]): string;
  publicKey(name: string): string;
  /** Write allowed signers, a line each; returns the file's path. */
  allow(...lines: readonly string[]): string;
}

export function makeKeyring(parent: string): Keyring {
  const directory = mkdtempSync(join(parent, "keys-"));
  let files = 0;
  const path = (name: string): string => join(directory, name);
  return {
    directory,
    path,
    make: (name, ...args) => {
      const kind = args.length === 0 ? ["-t", "ed25519"] : args;
      execFileSync("ssh-keygen", ["-q", "-N", "", "-f", path(name), "-C", name, ...kind]);
      return path(name);
    },
    publicKey: (name) => readFileSync(`${path(name)}.pub`, "utf8").trim(),
    allow: (...lines) => {
      const file = path(`allowed-${files++}`);
      writeFileSync(file, `${lines.join("\n")}\n`);
      return file;
    },
  };
}

/** A generator of numbers in [0, 1) from a seed (mulberry32): the same changes in every run of the tests. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The place and the new value of a byte to change. */
export interface ByteChange {
  readonly region: string;
  readonly at: number;
  readonly value: number;
}

/** Choose `each` changes in every region of a signed bundle, its first and last bytes among them. */
export function changesOf(file: Buffer, each: number, seed: number): readonly ByteChange[] {
  const random = seeded(seed);
  const armor = file.lastIndexOf("\n-----BEGIN SSH SIGNATURE-----");
  const end = armor - 22;
  const zip = file.indexOf("PK\u0003\u0004");
  const directory = file.readUInt32LE(end + 16);
  const regions = { prelude: [0, zip], zip: [zip, directory], directory: [directory, end] } as const;
  const tail = { end: [end, armor], armor: [armor, file.length] } as const;
  return Object.entries({ ...regions, ...tail }).flatMap(([region, [from, to]]) =>
    Array.from({ length: each }, (_, index): ByteChange => {
      const at = index === 0 ? from : index === 1 ? to - 1 : from + Math.floor(random() * (to - from));
      // Text becomes other text as often as not: such a change is the likelier one to keep its meaning.
      const old = file[at]!;
      const other = random() < 0.5 ? old ^ (1 << Math.floor(random() * 7)) : Math.floor(random() * 256);
      return { region, at, value: other === old ? old ^ 1 : other };
    }),
  );
}

export function changed(file: Buffer, { at, value }: Pick<ByteChange, "at" | "value">): Buffer {
  const copy = Buffer.from(file);
  copy[at] = value;
  return copy;
}
