import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem } from "../../core/system.ts";
import type { PasswdEntry } from "../../core/unix/users.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { defineAction } from "../define.ts";
import { downloadText } from "../network/download.ts";
import { isWebUrl } from "../network/web-url.ts";
import { type AttributeChange, applyAttributes, inspectAttributes } from "../shared/attributes.ts";
import { describe, flag, oneOf, optionalText, text } from "../shared/params.ts";
import { followLinks, fullPath, missingDirectories, requireOwnLinks } from "../shared/paths.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";
import { findAccount } from "./accounts.ts";

const DIRECTORY_MODE = 0o700;
const PARENT_MODE = 0o755;
const FILE_MODE = 0o600;

const params = v.strictObject({
  user: text("The user who logs in with the key."),
  key: v.pipe(
    describe(
      v.string(),
      "Public keys, one per line, or a URL such as `https://github.com/NAME.keys`, which the host fetches; no line is no key.",
    ),
    v.check(
      (value) => isWebUrl(value) || keyProblem(value) === undefined,
      ({ input }) => keyProblem(input) ?? "",
    ),
  ),
  state: oneOf(["present", "absent"], "present", "Add or remove the key."),
  exclusive: flag("Remove all other keys from the file."),
  key_options: v.optional(
    v.pipe(
      text('Options of the key, such as `no-pty,from="10.0.0.1"`; they replace the options in `key`.'),
      v.check(
        (value) => normalizeKeyOptions(value) !== null,
        "must be options with commas between them, blanks only within double quotes",
      ),
      v.transform((value) => normalizeKeyOptions(value) ?? value),
    ),
  ),
  comment: v.optional(
    v.pipe(
      v.string(),
      v.trim(),
      v.regex(/^[^\n\r]*$/, "must be one line"),
      v.description("Comment of the key; replaces the comment in `key`."),
    ),
  ),
  path: optionalText("The file. Default: `.ssh/authorized_keys` in the user's home directory."),
  manage_dir: flag("Make the file's directory, and give it to the user with mode 0700.", true),
  follow: flag("Follow a link at `path` instead of replacing it."),
  validate_certs: flag("Verify the certificate of a URL's server.", true),
});

type KeyParams = v.InferOutput<typeof params>;

interface KeyChange extends Change {
  /** Directories to make first, outermost first; the last is the file's own. */
  readonly directories: readonly string[];
  readonly directoryAttributes: AttributeChange | null;
  readonly file: FileChange | null;
  readonly keyfile: string;
}

/** The data of an authorized_key task: the parameters, under Ansible's names, null for those not given, and the file. */
interface AuthorizedKeyData {
  readonly user: string;
  readonly keyfile: string;
  readonly path: string | null;
  readonly key: string;
  readonly state: "present" | "absent";
  readonly key_options: string | null;
  readonly comment: string | null;
  readonly exclusive: boolean;
  readonly manage_dir: boolean;
  readonly follow: boolean;
  readonly validate_certs: boolean;
}

function describeKey(given: KeyParams, keyfile: string): AuthorizedKeyData {
  const { user, path = null, key, state, key_options = null, comment = null } = given;
  const { exclusive, manage_dir, follow, validate_certs } = given;
  return {
    ...{ user, keyfile, path, key, state, key_options, comment },
    ...{ exclusive, manage_dir, follow, validate_certs },
  };
}

/** Say why a text holds no public keys; undefined where it does. */
function keyProblem(value: string): string | undefined {
  const wrong = keyLines(value).find((line) => parseAuthorizedKey(line) === null);
  return wrong === undefined
    ? undefined
    : `invalid key specified: ${wrong.slice(0, 40)}; a key starts with its type, such as ssh-ed25519`;
}

const URL_SILENCE_MS = 30_000;

/** Fetch the keys where a URL is given for them. */
async function fetchKeys(given: KeyParams, { facts, signal }: ActionContext): Promise<string> {
  const { key: url, validate_certs: validateCertificates } = given;
  if (!isWebUrl(url)) return url;
  const request = { url, validateCertificates, signal, timeoutMs: URL_SILENCE_MS };
  const keys = await downloadText({ ...request, environment: facts.env });
  const problem = keyProblem(keys);
  if (problem !== undefined) throw new VolleyError("ACTION_FAILED", `${url}: ${problem}`);
  return keys;
}

function keyLines(value: string): readonly string[] {
  return value
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function wantedKeys(keys: string, { key_options, comment }: KeyParams): readonly AuthorizedKey[] {
  return keyLines(keys)
    .map(parseAuthorizedKey)
    .filter((parsed) => parsed !== null)
    .map((parsed) => ({
      ...parsed,
      options: key_options ?? parsed.options,
      comment: comment ?? parsed.comment,
    }));
}

/** Add and remove SSH keys of a user. */
export const authorized_key = defineAction<typeof params, KeyChange, AuthorizedKeyData>({
  name: "authorized_key",
  doc: `Add or remove SSH keys with which a user can log in.

The key itself identifies a line: other options or another comment replace the line, a key given several times with different options has a line for each, and a key given without a comment keeps its comment. As with Ansible, \`exclusive\` removes every key not named in the same call, and \`manage_dir\` gives the directory to the user with mode 0700: set it to false for a \`path\` in a directory that several users share. The file is given to the user with mode 0600, even when the keys need no change, because sshd ignores a file that others can write. Comments in it stay.`,
  params,
  examples: [
    { user: "deploy", key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh0 deploy@example" },
    {
      user: "backup",
      key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh0",
      key_options: 'command="/usr/bin/rrsync /srv",restrict',
    },
  ],
  title: ({ user }) => user,

  async inspect(given, system, context) {
    const { user, state, exclusive } = given;
    const keys = await fetchKeys(given, context);
    const account = await findAccount(system, user);
    if (account === null) return userMissing(given, context);
    const keyfile =
      given.path === undefined
        ? posix.join(account.home, ".ssh/authorized_keys")
        : await fullPath(system, given.path, context.facts.env);
    await requireOwnLinks(system, keyfile);
    const found = await system.stat(keyfile);
    if (found !== null && found.type !== "file")
      throw new VolleyError("ACTION_FAILED", `${keyfile} is a ${found.type}; remove it first`);
    const current = await system.readIfExists(keyfile);
    const data = describeKey(given, keyfile);
    if (current === null && state === "absent") return unchanged(data);
    if (current === null && wantedKeys(keys, given).length === 0) return unchanged(data);
    const edit = { keys: wantedKeys(keys, given), present: state === "present", exclusive };
    const content = editAuthorizedKeys(bytesToText(current ?? new Uint8Array()), edit);
    const directory = await inspectDirectory(given, keyfile, account, system, context);
    const file = await inspectFile({
      ...{ system, context, path: keyfile, content, current, follow: given.follow },
      parents: given.manage_dir ? "given" : "required",
      ...(state === "present" ? { owner: account.uid, group: account.gid, mode: FILE_MODE } : {}),
    });
    const diff = [directory.directoryAttributes?.diff, file?.diff].filter(
      (each): each is Diff => each !== undefined,
    );
    return diff.length === 0 ? unchanged(data) : { ...directory, file, keyfile, diff, data };
  },

  async apply(change, given, system) {
    const { directories, directoryAttributes, file, keyfile } = change;
    for (const [index, path] of directories.entries()) {
      await system.makeDirectory(path, index === directories.length - 1 ? DIRECTORY_MODE : PARENT_MODE);
    }
    if (directoryAttributes !== null) await applyAttributes(directoryAttributes, system);
    const applied = file === null ? {} : await applyFile(file, system);
    return { ...applied, data: describeKey(given, keyfile) };
  },
});

function userMissing({ user, state }: KeyParams, { check }: ActionContext): KeyChange {
  if (!check)
    throw new VolleyError(
      "ACTION_FAILED",
      `Failed to lookup user ${user}; make it first with the user action`,
    );
  const nothing = { directories: [], directoryAttributes: null, file: null, keyfile: "" };
  return {
    ...nothing,
    unknown: `there is no user "${user}" yet: whether the key would be ${state === "present" ? "added" : "removed"} is not known`,
  };
}

async function inspectDirectory(
  { manage_dir, state }: KeyParams,
  keyfile: string,
  { uid, gid }: PasswdEntry,
  system: ReadSystem,
  context: ActionContext,
): Promise<Pick<KeyChange, "directories" | "directoryAttributes">> {
  if (!manage_dir || state === "absent") return { directories: [], directoryAttributes: null };
  const directory = await followLinks(system, posix.dirname(keyfile));
  const stat = await system.stat(directory);
  const wanted = { owner: uid, group: gid, mode: DIRECTORY_MODE };
  const directoryAttributes = await inspectAttributes(system, directory, stat, wanted, context, "directory");
  return {
    directories: stat === null ? await missingDirectories(system, directory) : [],
    directoryAttributes,
  };
}

/** A key line of an authorized_keys file (sshd(8)). */
interface AuthorizedKey {
  /** Options before the key, such as `no-pty,from="10.0.0.1"`; may be empty. */
  readonly options: string;
  readonly type: string;
  /** The key itself, in base64; it identifies the line. */
  readonly blob: string;
  readonly comment: string;
}

const TYPE = "(?:sk-)?(?:ssh|ecdsa)-[A-Za-z0-9@.-]+";
const WITHOUT_OPTIONS = new RegExp(`^(${TYPE})\\s+([A-Za-z0-9+/=]+)(?:\\s+(.*))?$`);
// Options end at the first space that is not within double quotes.
const OPTIONS = /^((?:"(?:\\"|[^"])*"|[^\s"])+)\s+(.*)$/;

/** Parse a line; null for an empty line, a comment, or a line without a key. */
export function parseAuthorizedKey(line: string): AuthorizedKey | null {
  const text = line.trim();
  if (text === "" || text.startsWith("#")) return null;
  const plain = WITHOUT_OPTIONS.exec(text);
  if (plain !== null) return { options: "", type: plain[1]!, blob: plain[2]!, comment: plain[3] ?? "" };
  const [, options = "", rest = ""] = OPTIONS.exec(text) ?? [];
  const keyed = WITHOUT_OPTIONS.exec(rest);
  return keyed === null ? null : { options, type: keyed[1]!, blob: keyed[2]!, comment: keyed[3] ?? "" };
}

/** Format a key as a line, without line ending. */
function formatAuthorizedKey({ options, type, blob, comment }: AuthorizedKey): string {
  return [options, type, blob, comment].filter((part) => part !== "").join(" ");
}

/** An edit of an authorized_keys file. */
interface KeyEdit {
  readonly keys: readonly AuthorizedKey[];
  readonly present: boolean;
  /** Remove every other key. */
  readonly exclusive: boolean;
}

function sameKey(a: AuthorizedKey, b: AuthorizedKey): boolean {
  // A key given without a comment keeps its comment.
  return a.options === b.options && a.type === b.type && (b.comment === "" || a.comment === b.comment);
}

/**
 * Edit the text of an authorized_keys file. Comments and lines without a key stay in place. A key wanted with several
 * options gets a line for each.
 */
function editAuthorizedKeys(text: string, { keys, present, exclusive }: KeyEdit): string {
  const lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
  const found = lines.map(parseAuthorizedKey);
  const named = new Set(keys.map(({ blob }) => blob));
  // The last of two equal keys with the same options counts.
  const open = new Map(present ? keys.map((key) => [`${key.options}\n${key.blob}`, key] as const) : []);
  const put = new Map<number, string>();
  const take = (index: number, key: AuthorizedKey, fits: (want: AuthorizedKey) => boolean): void => {
    const taken = [...open].find(([, want]) => want.blob === key.blob && fits(want));
    if (taken === undefined || put.has(index)) return;
    const [id, want] = taken;
    open.delete(id);
    const comment = want.comment || key.comment;
    put.set(index, sameKey(key, want) ? lines[index]! : formatAuthorizedKey({ ...want, comment }));
  };
  // Match equal lines first, then similar ones, so that as many lines as possible are kept.
  for (const fits of [sameKey, hasOptions, () => true])
    for (const [index, key] of found.entries()) if (key !== null) take(index, key, (want) => fits(key, want));
  const all = [
    ...lines.flatMap((line, index) => {
      const key = found[index];
      if (key == null || put.has(index)) return [put.get(index) ?? line];
      return named.has(key.blob) || (present && exclusive) ? [] : [line];
    }),
    ...[...open.values()].map(formatAuthorizedKey),
  ];
  // Without a changed line, leave a missing newline at the end alone.
  if (all.length === lines.length && all.every((line, index) => line === lines[index])) return text;
  return all.map((line) => `${line}\n`).join("");
}

function hasOptions(a: AuthorizedKey, b: AuthorizedKey): boolean {
  return a.options === b.options;
}

const OPTION = /(?:[^\s",]|"(?:\\"|[^"\n])*")+/;
const OPTION_LIST = new RegExp(`^\\s*${OPTION.source}(?:\\s*,\\s*${OPTION.source})*\\s*$`);

/** Remove blanks beside the commas of options, as sshd requires; null for invalid options. */
function normalizeKeyOptions(options: string): string | null {
  if (/[\n\r]/.test(options) || !OPTION_LIST.test(options)) return null;
  return options.match(new RegExp(OPTION, "g"))!.join(",");
}
