import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { apt_key, keyUrl } from "../../../src/actions/debian/apt-key.ts";
import { deb822_repository } from "../../../src/actions/debian/deb822-repository.ts";
import { armor, readPublicKeys } from "../../../src/actions/shared/openpgp.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

// Keys made for these tests by gpg, without a purpose elsewhere.
const ONE = `-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawwBixYJKwYBBAHaRw8BAQdAPLj0V8M/Kl9+x5sq8iTgDp7DnOPGbFZzfW9s
gXRNyHi0FW9uZSA8b25lQGV4YW1wbGUub3JnPoiQBBMWCAA4FiEEikHFhNd0qQy6
D+e4pkY47kdiY+IFAmsMAYsCGyMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQ
pkY47kdiY+L9mAD+OP4b9wsYrG3uNWYR7Vaf6L+w+itqvUCmXV6X5jC7D/4A/1F8
qsgFpoBtT3463x1eiEohVi9ADLdV1j1dv50axbsHuDgEawwBixIKKwYBBAGXVQEF
AQEHQIOE3T1AqIaG0cQnJZiuKHneXuB5AfIe4zDj6l5vYIwNAwEIB4h4BBgWCAAg
FiEEikHFhNd0qQy6D+e4pkY47kdiY+IFAmsMAYsCGwwACgkQpkY47kdiY+IEpgD9
HtPjb3Ieu77E5C+n3w8TAgAzqn2iPaSI/9uldGmJrusBAJEgvCO7I/HDvC8eg/tT
/JJ2wEf5g+N547vWgEpuxS8H
=4Cy0
-----END PGP PUBLIC KEY BLOCK-----
`;
const TWO = `-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawwBjBYJKwYBBAHaRw8BAQdANWdErw2++nT7Do2wfcLxMG9/BDJRAN0Sk92V
QuvPuy60FXR3byA8dHdvQGV4YW1wbGUub3JnPoiQBBMWCAA4FiEESdpAtiHUhAcs
6ht6pJeFz1uWlhgFAmsMAYwCGyMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQ
pJeFz1uWlhgNogD/R6xEf83qMRrJybODkLVdz08jYN3XpFE2DFVvx4iFiUABAPdc
b86Pox7UKa8RpabfcVuvQbZqs5s2m6GR1nhfAn0PuDgEawwBjBIKKwYBBAGXVQEF
AQEHQCUvKtvCX/lII3DodU8RHNIBcRSKAQ5JFSVa9xewzzI8AwEIB4h4BBgWCAAg
FiEESdpAtiHUhAcs6ht6pJeFz1uWlhgFAmsMAYwCGwwACgkQpJeFz1uWlhgrbAD/
c88IoFWxXUCv1UycyAXAxlGQWfh+Rw/yMcDtAMj88ggBAPFtca/ZTw0Hf9ZyO4Nh
jiKpBniowsGkiOMTW0X0sDsE
=Oqfe
-----END PGP PUBLIC KEY BLOCK-----
`;
const ONE_PRINT = "8A41C584D774A90CBA0FE7B8A64638EE476263E2";
const ONE_ID = "A64638EE476263E2";
const ONE_SUBKEY = "81DEF06BE0DD4624";
const TWO_ID = "A49785CF5B969618";
const TWO_SUBKEY = "C41971F2ACCD10FE";

let sandbox: Sandbox;
const at = (path: string): string => join(sandbox.root, path);
const keysIn = (path: string) => readPublicKeys(readFileSync(at(path))).map(({ ids }) => ids[0]);

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(at("etc/apt/trusted.gpg.d"), { recursive: true });
  mkdirSync(at("etc/apt/sources.list.d"), { recursive: true });
  writeFileSync(at("two.asc"), TWO);
  return () => sandbox[Symbol.dispose]();
});

/** Serves one content under every path, and remembers the paths. */
async function serve<T>(content: string | Uint8Array, work: (url: string, asked: string[]) => Promise<T>) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.end(content);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  try {
    return await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked);
  } finally {
    server.close();
  }
}

describe("apt_key", () => {
  it("adds keys to a keyring, and removes them again", async () => {
    const { first } = await checkApplyAgain(sandbox, apt_key({ data: ONE }));
    expect(first.data).toEqual({
      id: ONE_ID,
      key_id: ONE_ID,
      fp: ONE_ID,
      short_id: ONE_ID.slice(-8),
      before: [],
      after: [ONE_ID, ONE_SUBKEY],
    });
    await checkApplyAgain(sandbox, apt_key({ file: "/two.asc", keyring: "/etc/apt/trusted.gpg.d/x.gpg" }));
    const short = apt_key({ id: `0x${TWO_ID.slice(-8)}` });
    const known = await pass(short, sandbox.system, sandbox.context());
    expect(known.state).toBe("unchanged");
    expect(known.data?.before).toEqual([ONE_ID, ONE_SUBKEY, TWO_ID, TWO_SUBKEY].map((id) => id.slice(-8)));
    await checkApplyAgain(sandbox, apt_key({ file: "/two.asc", keyring: "/etc/apt/trusted.gpg" }));
    expect(keysIn("etc/apt/trusted.gpg")).toEqual([ONE_ID, TWO_ID]);
    await checkApplyAgain(sandbox, apt_key({ id: ONE_PRINT.toLowerCase(), state: "absent" }));
    expect(keysIn("etc/apt/trusted.gpg")).toEqual([TWO_ID]);
    await checkApplyAgain(sandbox, apt_key({ id: TWO_ID, state: "absent" }));
    expect(existsSync(at("etc/apt/trusted.gpg"))).toBe(false);
    expect(existsSync(at("etc/apt/trusted.gpg.d/x.gpg"))).toBe(false);
  });

  it("leaves an armored keyring armored", async () => {
    writeFileSync(at("etc/apt/trusted.gpg.d/both.asc"), ONE + TWO);
    await checkApplyAgain(sandbox, apt_key({ id: ONE_ID, state: "absent" }));
    expect(readFileSync(at("etc/apt/trusted.gpg.d/both.asc"), "utf8")).toBe(TWO);
  });

  it("downloads a key, and with its id only where it is missing", async () => {
    await serve(ONE, async (url, asked) => {
      const call = apt_key({ url: `${url}/key`, id: ONE_PRINT });
      await checkApplyAgain(sandbox, call);
      expect(asked).toEqual(["/key", "/key"]);
      const other = apt_key({ keyserver: url, id: TWO_ID });
      await expect(pass(other, sandbox.system, sandbox.context())).rejects.toThrow(/failed to add the key/);
      expect(asked.at(-1)).toBe(`/pks/lookup?op=get&options=mr&search=0x${TWO_ID}`);
    });
    expect(keyUrl("keyserver.example.org", "0xabcdef01")).toBe(
      "http://keyserver.example.org:11371/pks/lookup?op=get&options=mr&search=0xABCDEF01",
    );
    expect(keyUrl("hkps://k.example.org", "abcdef01")).toMatch(/^https:\/\/k\.example\.org\/pks/);
    expect(keyUrl("hkp://k.example.org:80", "abcdef01")).toMatch(/^http:\/\/k\.example\.org:80\/pks/);
  });

  it.each([
    [{ data: "junk" }, /Unable to extract key from 'inline data'/],
    [{ file: "/none" }, /Unable to extract key from '\/none'/],
    [{ id: "DEADBEEF" }, /there is no key DEADBEEF/],
    [{ id: "DEADBEEF", data: ONE }, /failed to add the key/],
  ])("refuses %j", async (given, message) => {
    await expect(pass(apt_key(given), sandbox.system, sandbox.context())).rejects.toThrow(message);
  });

  it("removes the key that a file or the data hold", async () => {
    writeFileSync(at("etc/apt/trusted.gpg.d/both.asc"), ONE + TWO);
    writeFileSync(at("one.asc"), ONE);
    await checkApplyAgain(sandbox, apt_key({ file: "/one.asc", state: "absent" }));
    expect(readFileSync(at("etc/apt/trusted.gpg.d/both.asc"), "utf8")).toBe(TWO);
    await checkApplyAgain(sandbox, apt_key({ data: TWO, state: "absent" }));
    expect(existsSync(at("etc/apt/trusted.gpg.d/both.asc"))).toBe(false);
  });

  it("removes no key by the id of a subkey", async () => {
    await pass(apt_key({ data: ONE }), sandbox.system, sandbox.context());
    const call = apt_key({ id: ONE_SUBKEY, state: "absent" });
    await expect(pass(call, sandbox.system, sandbox.context())).rejects.toThrow(/is the id of a subkey/);
  });

  it.each([
    [{}, /Invalid key_id/],
    [{ state: "absent" as const }, /Invalid key_id/],
    [{ id: "nothex" }, /Invalid key_id/],
    [{ data: ONE, file: "/x" }, /mutually exclusive: data\|file\|url\|keyserver/],
  ])("refuses parameters that do not go together: %j", (given, message) =>
    expect(() => apt_key(given)).toThrow(message),
  );

  it("writes armor as gpg does", () => {
    expect(armor(readPublicKeys(Buffer.from(ONE))[0]!.bytes)).toBe(ONE);
    expect(readPublicKeys(Buffer.from(ONE))[0]!.fingerprint).toBe(ONE_PRINT);
    expect(readPublicKeys(Buffer.from(ONE).subarray(0, 200))).toEqual([]);
  });
});

describe("deb822_repository", () => {
  const base = { name: "Example repo 2.7", uris: "http://repo.example.org/debian", suites: ["a", "b"] };
  const FILE = "/etc/apt/sources.list.d/example-repo-2-7.sources";

  it("writes the fields in the order of the parameters' names", async () => {
    const call = deb822_repository({ ...base, components: "main", date_max_future: 10, enabled: false });
    const { first } = await checkApplyAgain(sandbox, call);
    const text = `Components: main
Date-Max-Future: 10
Enabled: no
X-Repolib-Name: Example repo 2.7
Suites: a b
Types: deb
URIs: http://repo.example.org/debian
`;
    expect(readFileSync(at(FILE), "utf8")).toBe(text);
    expect(first.data).toEqual({ repo: text, dest: FILE, key_filename: null });
    await checkApplyAgain(sandbox, deb822_repository({ name: base.name, state: "absent" }));
    expect(existsSync(at(FILE))).toBe(false);
  });

  it("stores a key from a URL, and removes it with the repository", async () => {
    await serve(ONE, async (url) => {
      const call = deb822_repository({ ...base, signed_by: `${url}/key` });
      const { first } = await checkApplyAgain(sandbox, call);
      const key = "/etc/apt/keyrings/example-repo-2-7.asc";
      expect(first.data).toMatchObject({ key_filename: key });
      expect(readFileSync(at(FILE), "utf8")).toContain(`Signed-By: ${key}\n`);
      expect(readFileSync(at(key), "utf8")).toBe(ONE);
      await checkApplyAgain(sandbox, deb822_repository({ name: base.name, state: "absent" }));
      expect(existsSync(at(key))).toBe(false);
    });
  });

  it("holds a key given in full in the file itself", async () => {
    await checkApplyAgain(sandbox, deb822_repository({ ...base, signed_by: ONE, mode: "0600" }));
    expect(readFileSync(at(FILE), "utf8")).toContain(
      "Signed-By:\n    -----BEGIN PGP PUBLIC KEY BLOCK-----\n    .\n    mDMEawwBix",
    );
  });

  it("needs URLs and suites", () => {
    expect(() => deb822_repository({ name: "x" })).toThrow(/needs uris and suites/);
  });
});
