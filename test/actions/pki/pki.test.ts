import { execFileSync, spawnSync } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import {
  openssl_csr,
  openssl_privatekey,
  openssl_publickey,
  x509_certificate,
} from "../../../src/actions/pki/index.ts";
import type { ActionCall } from "../../../src/core/action.ts";
import { createLocalSystem } from "../../../src/system/local/local-system.ts";
import { makeSandbox, pass } from "../harness.ts";

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
const openssl = (...args: readonly string[]): string => execFileSync("openssl", args, { encoding: "utf8" });

let directory: string;
const system = createLocalSystem();
const act = (call: ActionCall, check = false) => {
  using sandbox = makeSandbox();
  return pass(call as ReturnType<typeof openssl_privatekey>, system, { ...sandbox.context(), check });
};
const at = (name: string): string => join(directory, name);
/** Check mode changes nothing, the first run does, and the second run has nothing to do. */
async function once(call: ActionCall, path: string) {
  const before = existsSync(path) ? readFileSync(path, "utf8") : null;
  expect((await act(call, true)).state).toBe("changed");
  expect(existsSync(path) ? readFileSync(path, "utf8") : null).toBe(before);
  const made = await act(call);
  expect(made.state).toBe("changed");
  expect((await act(call)).state).toBe("unchanged");
  return made;
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-pki-"));
  return () => rmSync(directory, { recursive: true });
});
afterAll(() => system.close());

describe("openssl_privatekey", () => {
  it("makes keys of every kind, once", async () => {
    const kinds = [
      [{ size: 1024 }, "RSA PRIVATE KEY"],
      [{ size: 1024, format: "pkcs8" }, "PRIVATE KEY"],
      [{ type: "ECC", curve: "secp384r1" }, "EC PRIVATE KEY"],
      [{ type: "ECC", curve: "secp256r1" }, "EC PRIVATE KEY"],
      [{ type: "Ed25519" }, "PRIVATE KEY"],
      [{ type: "X448" }, "PRIVATE KEY"],
    ] as const;
    for (const [given, label] of kinds) {
      const path = at("key.pem");
      rmSync(path, { force: true });
      const { data } = await once(openssl_privatekey({ path, return_content: true, ...given }), path);
      const text = readFileSync(path, "utf8");
      expect(text).toMatch(new RegExp(`^-----BEGIN ${label}-----`));
      expect(data).toMatchObject({
        filename: path,
        privatekey: text,
        fingerprint: { sha256: expect.stringMatching(/^(?:[0-9a-f]{2}:){31}/) },
      });
      expect(statSync(path).mode & 0o777).toBe(0o600);
    }
  });

  it("replaces keys of another size or passphrase, as regenerate says", async () => {
    const path = at("key.pem");
    await act(openssl_privatekey({ path, size: 1024, mode: "0640" }));
    const first = readFileSync(path, "utf8");
    expect((await act(openssl_privatekey({ path, size: 2048, regenerate: "never" }))).state).toBe(
      "unchanged",
    );
    await expect(act(openssl_privatekey({ path, size: 2048, regenerate: "fail" }))).rejects.toThrow(
      /another size/,
    );
    const other = await act(openssl_privatekey({ path, size: 1032, backup: true }));
    expect(readFileSync(String(other.data?.backup_file), "utf8")).toBe(first);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    const locked = openssl_privatekey({ path, size: 1032, passphrase: "open sesame", cipher: "auto" });
    await once(locked, path);
    expect(
      createPrivateKey({ key: readFileSync(path), passphrase: "open sesame" }).asymmetricKeyDetails,
    ).toMatchObject({
      modulusLength: 1032,
    });
    await expect(
      act(openssl_privatekey({ path, size: 1032, regenerate: "partial_idempotence" })),
    ).rejects.toThrow(/cannot be read/);
    expect((await act(openssl_privatekey({ path, size: 1032 }))).state).toBe("changed");
    const before = readFileSync(path, "utf8");
    expect((await act(openssl_privatekey({ path, size: 1032, force: true }))).state).toBe("changed");
    expect(readFileSync(path, "utf8")).not.toBe(before);
    await once(openssl_privatekey({ path, state: "absent" }), path);
    expect(existsSync(path)).toBe(false);
  });

  it("converts a key that has another form alone", async () => {
    const path = at("key.pem");
    await act(openssl_privatekey({ path, size: 1024 }));
    const modulus = createPrivateKey(readFileSync(path)).export({ format: "jwk" }).n;
    expect((await act(openssl_privatekey({ path, size: 1024, format: "pkcs1" }))).state).toBe("unchanged");
    await once(openssl_privatekey({ path, size: 1024, format: "pkcs8", format_mismatch: "convert" }), path);
    expect(readFileSync(path, "utf8")).toMatch(/^-----BEGIN PRIVATE KEY/);
    expect(createPrivateKey(readFileSync(path)).export({ format: "jwk" }).n).toBe(modulus);
    expect((await act(openssl_privatekey({ path, size: 1024 }))).state).toBe("unchanged");
    expect(() => openssl_privatekey({ path, type: "ECC" })).toThrow(/curve/);
  });
});

it("writes public keys in both forms, and anew for another private one", async () => {
  const path = at("key.pub");
  for (const given of [{ size: 1024 }, { type: "ECC", curve: "secp521r1" }, { type: "Ed25519" }] as const) {
    await act(openssl_privatekey({ path: at("key.pem"), ...given }));
    await once(openssl_publickey({ path, privatekey_path: at("key.pem"), return_content: true }), path);
    const ssh = openssl_publickey({ path: at("key.ssh"), privatekey_path: at("key.pem"), format: "OpenSSH" });
    await once(ssh, at("key.ssh"));
    const known = spawnSync("ssh-keygen", ["-i", "-m", "PKCS8", "-f", path], { encoding: "utf8" });
    if (known.status === 0) expect(readFileSync(at("key.ssh"), "utf8").trim()).toBe(known.stdout.trim());
  }
  const lost = openssl_publickey({ path, privatekey_path: at("none.pem") });
  await expect(act(lost)).rejects.toThrow(/does not exist/);
  expect(await act(lost, true)).toMatchObject({ state: "unknown" });
});

const ALL = {
  common_name: "www.example.org",
  country_name: "DE",
  organization_name: "Exämple",
  email_address: "a@example.org",
  subject: { OU: ["one", "two"] },
  subject_alt_name: [
    "DNS:www.example.org",
    "IP:127.0.0.1",
    "IP:2001:db8::1",
    "email:a@example.org",
    "URI:https://x.org/",
    "RID:1.2.3.4",
  ],
  key_usage: ["digitalSignature", "keyAgreement", "decipherOnly"],
  key_usage_critical: true,
  extended_key_usage: ["serverAuth", "1.3.6.1.5.5.7.3.2"],
  basic_constraints: ["CA:TRUE", "pathlen:0"],
  basic_constraints_critical: true,
  ocsp_must_staple: true,
  name_constraints_permitted: ["DNS:example.org", "IP:10.0.0.0/12"],
  create_subject_key_identifier: true,
};

it.runIf(hasOpenssl)("makes requests that openssl accepts, anew for each difference", async () => {
  const path = at("site.csr");
  for (const given of [{ size: 1024 }, { type: "ECC", curve: "secp256r1" }, { type: "Ed25519" }] as const) {
    await act(openssl_privatekey({ path: at("key.pem"), ...given }));
    const request = openssl_csr({ path, privatekey_path: at("key.pem"), return_content: true, ...ALL });
    const { data } = await once(request, path);
    expect(data).toMatchObject({ csr: readFileSync(path, "utf8"), filename: path });
    const text = openssl("req", "-in", path, "-noout", "-verify", "-text", "-nameopt", "utf8");
    for (const part of [
      "CN=www.example.org, emailAddress=a@example.org, OU=one, OU=two",
      "DNS:www.example.org, IP Address:127.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1, email:a@example.org, URI:https://x.org/, Registered ID:1.2.3.4",
      "Digital Signature, Key Agreement, Decipher Only",
      "TLS Web Server Authentication, TLS Web Client Authentication",
      "CA:TRUE, pathlen:0",
      "status_request",
      "IP:10.0.0.0/255.240.0.0",
    ])
      expect(text).toContain(part);
  }
  for (const more of [
    { organization_name: "Other" },
    { key_usage_critical: false },
    { subject_alt_name: ["DNS:other.example.org"] },
    { use_common_name_for_san: false, subject_alt_name: undefined },
    { basic_constraints: ["CA:FALSE"] },
  ])
    await once(openssl_csr({ path, privatekey_path: at("key.pem"), ...ALL, ...more }), path);
  expect(() => openssl_csr({ path, privatekey_path: "k", crl_distribution_points: [] })).toThrow(
    /not supported/,
  );
});

it.runIf(hasOpenssl)("signs certificates: of the key itself, and of an authority", async () => {
  await act(openssl_privatekey({ path: at("ca.pem"), size: 1024 }));
  await act(openssl_privatekey({ path: at("key.pem"), type: "ECC", curve: "secp256r1", passphrase: "pass" }));
  const key = { privatekey_path: at("key.pem"), privatekey_passphrase: "pass" };
  await act(
    openssl_csr({
      path: at("ca.csr"),
      privatekey_path: at("ca.pem"),
      common_name: "CA",
      basic_constraints: ["CA:TRUE"],
      basic_constraints_critical: true,
      use_common_name_for_san: false,
      key_usage: ["keyCertSign"],
    }),
  );
  const ca = {
    path: at("ca.crt"),
    privatekey_path: at("ca.pem"),
    csr_path: at("ca.csr"),
    provider: "selfsigned",
  } as const;
  await once(x509_certificate(ca), ca.path);
  await act(openssl_csr({ path: at("site.csr"), ...key, common_name: "localhost" }));
  const site = {
    path: at("site.crt"),
    csr_path: at("site.csr"),
    provider: "ownca",
    ownca_path: ca.path,
    ownca_privatekey_path: at("ca.pem"),
  } as const;
  await once(x509_certificate({ ...site, ownca_not_after: "+10d", return_content: true }), site.path);
  expect(openssl("verify", "-x509_strict", "-CAfile", ca.path, site.path)).toContain("OK");
  const text = openssl("x509", "-in", site.path, "-noout", "-text");
  for (const part of [
    "Issuer: CN = CA",
    "DNS:localhost",
    "Subject Key Identifier",
    "Authority Key Identifier",
  ])
    expect(text).toContain(part);
  const end = Date.parse(/Not After : (.*)/.exec(text)![1]!);
  expect(Math.abs(end - Date.now() - 10 * 86_400_000)).toBeLessThan(600_000);
  // Another time counts only where it is to count.
  expect((await act(x509_certificate({ ...site, ownca_not_after: "+20d" }))).state).toBe("unchanged");
  const dated = {
    ownca_not_before: "20250101000000Z",
    ownca_not_after: "20550101000000Z",
    ignore_timestamps: false,
  };
  await once(x509_certificate({ ...site, ...dated }), site.path);
  expect(openssl("x509", "-in", site.path, "-noout", "-dates")).toContain(
    "notAfter=Jan  1 00:00:00 2055 GMT",
  );
  // Another authority, another request, another kind.
  await once(
    x509_certificate({ path: site.path, csr_path: at("site.csr"), ...key, provider: "selfsigned" }),
    site.path,
  );
  await once(x509_certificate({ ...site, ownca_create_authority_key_identifier: false }), site.path);
  await act(openssl_csr({ path: at("site.csr"), ...key, common_name: "other" }));
  await once(x509_certificate({ ...site, ownca_digest: "sha512" }), site.path);
  await once(x509_certificate({ path: at("bare.crt"), ...key, provider: "selfsigned" }), at("bare.crt"));
  writeFileSync(site.path, "no certificate\n");
  await once(x509_certificate(site), site.path);
  await once(x509_certificate({ path: site.path, state: "absent" }), site.path);
  expect(() => x509_certificate({ path: site.path, provider: "acme" })).toThrow(/selfsigned and ownca/);
  const early = x509_certificate({ ...site, csr_path: at("none.csr") });
  await expect(act(early)).rejects.toThrow(/does not exist/);
  expect(await act(early, true)).toMatchObject({ state: "unknown" });
});
