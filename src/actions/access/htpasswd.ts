import { randomBytes, randomInt } from "node:crypto";
import * as v from "valibot";
import { type Applied, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { bcrypt, CRYPT_DIGITS, isPassword, md5Crypt, sha1Text, sha2Crypt } from "../../system/crypt.ts";
import { defineAction } from "../define.ts";
import { attributeAliases, describe, fileAttributes, filePath, flag, oneOf } from "../shared/params.ts";
import { followLinks } from "../shared/paths.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

const BCRYPT_COST = 12;

function salt(length: number): string {
  return Array.from({ length }, () => CRYPT_DIGITS.charAt(randomInt(CRYPT_DIGITS.length))).join("");
}

/** The ways to write a password, by the names that Ansible takes from passlib. */
const SCHEMES = {
  apr_md5_crypt: (password: string) => md5Crypt("apr1", password, salt(8)),
  bcrypt: (password: string) => bcrypt(password, randomBytes(16), BCRYPT_COST),
  sha256_crypt: (password: string) => sha2Crypt("sha256", password, salt(16), undefined),
  sha512_crypt: (password: string) => sha2Crypt("sha512", password, salt(16), undefined),
  md5_crypt: (password: string) => md5Crypt("1", password, salt(8)),
  ldap_sha1: sha1Text,
  plaintext: (password: string) => password,
  portable_apache22: (password: string) => md5Crypt("apr1", password, salt(8)),
  portable_apache24: (password: string) => md5Crypt("apr1", password, salt(8)),
  host_apache22: (password: string) => md5Crypt("apr1", password, salt(8)),
  host_apache24: (password: string) => bcrypt(password, randomBytes(16), BCRYPT_COST),
} as const satisfies Readonly<Record<string, (password: string) => string>>;

type Scheme = keyof typeof SCHEMES;

const params = v.pipe(
  v.strictObject({
    path: filePath,
    name: v.pipe(
      v.string(),
      v.regex(/^[^:\s\0][^:\n\r\0]{0,254}$/, "must be at most 255 characters, without a colon or a newline"),
      v.description("The user."),
    ),
    password: v.optional(describe(v.string(), "The password in clear. Required unless `state` is `absent`.")),
    hash_scheme: oneOf(
      Object.keys(SCHEMES) as Scheme[],
      "apr_md5_crypt",
      "The hash of a new or changed password. Apache and nginx know them all; `des_crypt` is refused, because it counts 8 characters only.",
    ),
    state: oneOf(["present", "absent"], "present", "Set or remove the user."),
    create: flag("Make the file when missing.", true),
    ...fileAttributes,
  }),
  v.check(
    ({ state, password }) => state === "absent" || (password !== undefined && password !== ""),
    'parameter "password" is required for state: "present"',
  ),
  v.check(
    ({ hash_scheme, password = "" }) => hash_scheme !== "plaintext" || !/[\n\r]/.test(password),
    "a password that is written as it is must be one line",
  ),
);

type Params = v.InferOutput<typeof params>;

/** Keep a user of a web server's password file. */
export const htpasswd = defineAction({
  name: "htpasswd",
  doc: `Set or remove a user, with a password, in a file for basic authentication by Apache or nginx.

The password is checked against the hash in the file, and hashed anew only where it differs. As in Ansible, another
\`hash_scheme\` alone is no change: remove the user first. Entries of the scheme DES cannot be checked, and are written
anew. bcrypt takes about a second of the host's processor, with every run. The diff shows no content.`,
  params,
  aliases: {
    ...attributeAliases,
    ...{ dest: "path", destfile: "path", username: "name", crypt_scheme: "hash_scheme" },
  },
  examples: [
    {
      path: "/etc/nginx/htpasswd",
      name: "alice",
      password: "{{ alice_password }}",
      group: "www-data",
      mode: "0640",
    },
    { path: "/etc/nginx/htpasswd", name: "bob", state: "absent" },
  ],
  title: ({ path, name }) => `${name} in ${path}`,

  async inspect(given, system, context) {
    const path = await followLinks(system, given.path);
    const current = await system.readIfExists(path);
    if (current === null && given.state === "absent")
      return unchanged(undefined, `${given.name} not present`);
    if (current === null && !given.create) {
      if (context.check)
        return { ...NOTHING, path, diff: { path }, unknown: `there is no ${given.path} yet` };
      throw new VolleyError("ACTION_FAILED", `Destination ${given.path} does not exist`);
    }
    const edited = edit(bytesToText(current ?? new Uint8Array()), given);
    const message = current === null ? `Created ${given.path} and added ${given.name}` : edited.message;
    const { owner, group, mode } = given;
    const change = await inspectFile({
      ...{ system, context, path, current, content: edited.text, owner, group, mode },
      secret: true,
    });
    if (change === null) return unchanged(undefined, message);
    return { ...change, message: [message, change.message].filter(Boolean).join("; ") };
  },

  async apply(change: FileChange, _given, system): Promise<Applied<undefined>> {
    const { message } = await applyFile(change, system);
    return { message: message ?? change.message ?? "" };
  },
});

const NOTHING = { attributes: null, directories: [], backup: false } as const;

function edit(text: string, given: Params): { readonly text: string; readonly message: string } {
  const { name, password = "", state, hash_scheme } = given;
  const lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
  const isOwn = (line: string): boolean => line.startsWith(`${name}:`);
  const own = lines.find(isOwn);
  const join = (changed: readonly string[]): string => changed.map((line) => `${line}\n`).join("");
  if (state === "absent") {
    if (own === undefined) return { text, message: `${name} not present` };
    return { text: join(lines.filter((line) => !isOwn(line))), message: `Remove ${name}` };
  }
  if (own !== undefined) {
    const hash = own.slice(name.length + 1).replace(/[:\r].*$/, "");
    if (isPassword(password, hash)) return { text, message: `${name} already present` };
  }
  const entry = `${name}:${SCHEMES[hash_scheme](password)}`;
  if (own === undefined) return { text: join([...lines, entry]), message: `Add/update ${name}` };
  return { text: join(lines.map((line) => (line === own ? entry : line))), message: `Add/update ${name}` };
}
