import { randomBytes } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { kib, makeSeed, makeUserData, SMALLEST_LIMIT } from "../../src/image/cloud-init.ts";
import { somePayload } from "./payloads.ts";
import { readIso } from "./read-iso.ts";

interface Written {
  readonly path: string;
  readonly owner: string;
  readonly permissions: string;
  readonly encoding: string;
  readonly content: string;
}

/** Read user-data as cloud-init does. */
function read(document: Buffer): {
  readonly files: Readonly<Record<string, Buffer>>;
  readonly modes: unknown;
  readonly start: string;
} {
  const text = document.toString();
  expect(text.startsWith("#cloud-config\n")).toBe(true);
  const { write_files: written, runcmd, ...rest } = parse(text, { version: "1.1" });
  expect(rest).toEqual({});
  for (const { owner, encoding } of written as readonly Written[])
    expect([owner, encoding]).toEqual(["root:root", "gz+b64"]);
  const each = <Value>(of: (file: Written) => Value) =>
    Object.fromEntries(
      (written as readonly Written[]).map((file) => [file.path.replace(/.*\//, ""), of(file)]),
    );
  return {
    files: each(({ content }) => gunzipSync(Buffer.from(content, "base64"))),
    modes: each(({ permissions }) => permissions),
    start: runcmd[0][2],
  };
}

const URL = "https://example.com/pi1.run";
/** Does not become smaller: the bundle of a playbook is a zip. */
const large = somePayload({ content: randomBytes(60_000).toString("latin1") });

describe("user-data", () => {
  it("has all files of the payload where they fit, and starts the runner", () => {
    const payload = somePayload();
    const { document, source } = makeUserData(payload);
    expect(source).toBeUndefined();
    const { files, modes, start } = read(document);
    for (const { name, content } of payload.files) expect(files[name]!.equals(content)).toBe(true);
    expect(modes).toEqual({
      "site.run": "0600",
      "verify.sh": "0600",
      allowed_signers: "0600",
      "run.sh": "0700",
      "volley-first-boot.service": "0644",
    });
    expect(start).toMatch(/exec sh \.\/run\.sh$/);
    expect(makeUserData(payload).document.equals(document)).toBe(true);
  });

  it("is refused where the bundle is too large, with the sizes", () => {
    expect(() => makeUserData(large)).toThrow(
      `the bundle, of ${kib(large.bundle.bytes.length)}, does not fit into user-data of at most 16 KiB`,
    );
    // Smaller than the limit, but not with all that goes along.
    const close = somePayload({ content: randomBytes(11_000).toString("base64") });
    expect(() => makeUserData(close)).toThrow("does not fit into user-data of at most 16 KiB");
    expect(makeUserData(large, { maxBytes: 200 * 1024 }).source).toBeUndefined();
  });

  it("has the address and the SHA-256 of a bundle that is fetched, instead of the bundle", () => {
    const { document, source } = makeUserData(large, { url: URL });
    expect(source).toEqual({ url: URL });
    const { files } = read(document);
    expect(Object.keys(files)).not.toContain("site.run");
    expect(files["fetch.sh"]!.toString()).toContain(URL);
    expect(files["fetch.sh"]!.toString()).toContain(large.bundle.id);
  });

  it("takes the bundle from the volume where only that has room", () => {
    expect(makeUserData(somePayload(), { hasVolume: true }).source).toBeUndefined();
    const { document, source } = makeUserData(large, { hasVolume: true });
    expect(source).toBe("volume");
    expect(document.length).toBeLessThan(SMALLEST_LIMIT);
  });

  it("is compressed as a whole on request, and is measured then", () => {
    const payload = somePayload({ content: randomBytes(6_000).toString("base64") });
    const plain = makeUserData(payload).document;
    const maxBytes = plain.length - 500;
    expect(() => makeUserData(payload, { maxBytes })).toThrow("does not fit");
    expect(gunzipSync(makeUserData(payload, { maxBytes, gzip: true }).document)).toEqual(plain);
    expect(() => makeUserData(payload, { maxBytes: 1024, url: URL })).toThrow(
      /more than the 1 KiB of --max-size$/,
    );
  });
});

describe("a seed", () => {
  const filesOf = (seed: Buffer) =>
    Object.fromEntries(readIso(seed).joliet.files.map(({ name, content }) => [name, content]));

  it("has user-data, meta-data and a bundle that is too large for them", () => {
    const userData = makeUserData(large, { hasVolume: true });
    const files = filesOf(makeSeed(large, userData));
    expect(files["user-data"]!.equals(userData.document)).toBe(true);
    expect(files["site.run"]!.equals(large.bundle.bytes)).toBe(true);
    expect(parse(files["meta-data"]!.toString())).toEqual({
      "instance-id": expect.stringMatching(/^volley-[0-9a-f]{32}$/),
      "local-hostname": "pi1",
    });
    expect(Object.keys(filesOf(makeSeed(somePayload(), makeUserData(somePayload())))).sort()).toEqual([
      "meta-data",
      "user-data",
    ]);
  });

  it("is that of another instance where anything in it is another", () => {
    const seedFor = (host: string) => makeSeed(somePayload({ host }), makeUserData(somePayload({ host })));
    expect(seedFor("web1").equals(seedFor("web1"))).toBe(true);
    const idOf = (seed: Buffer): string => parse(filesOf(seed)["meta-data"]!.toString())["instance-id"];
    expect(idOf(seedFor("web1"))).not.toBe(idOf(seedFor("web2")));
  });

  it("leaves the host's name to the machine where the inventory's is none", () => {
    const payload = somePayload({ host: "my_host" });
    expect(filesOf(makeSeed(payload, makeUserData(payload)))["meta-data"]!.toString()).not.toContain(
      "hostname",
    );
  });
});
