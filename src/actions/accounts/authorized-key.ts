import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem } from "../../core/system.ts";
import { bytesToText } from "../../core/text.ts";
import { defineAction } from "../define.ts";
import { type AttributeChange, applyAttributes, inspectAttributes } from "../shared/attributes.ts";
import { flag, oneOf, optionalText, text } from "../shared/params.ts";
import { followLinks, missingDirectories, requireOwnLinks } from "../shared/paths.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";
import { findAccount, type PasswdEntry } from "./accounts.ts";
import {
  type AuthorizedKey,
  editAuthorizedKeys,
  normalizeKeyOptions,
  parseAuthorizedKey,
} from "./ssh-key.ts";

const DIRECTORY_MODE = 0o700;
const PARENT_MODE = 0o755;
const FILE_MODE = 0o600;

const params = v.pipe(
  v.strictObject({
    user: text("The user who may log in with the key."),
    key: v.pipe(
      text("Public keys, one a line."),
      v.check((value) => !/^https?:\/\//.test(value), "a URL is not fetched; give the key itself"),
      v.check(
        (value) =>
          keyLines(value).length > 0 && keyLines(value).every((line) => parseAuthorizedKey(line) !== null),
        ({ input }) => {
          const wrong = keyLines(input).find((line) => parseAuthorizedKey(line) === null) ?? "";
          return `"${wrong.slice(0, 40)}" is no public key; it starts with its type, such as ssh-ed25519`;
        },
      ),
    ),
    state: oneOf(["present", "absent"], "present", "Whether the key may be used."),
    exclusive: flag("Remove every other key of the file."),
    key_options: v.optional(
      v.pipe(
        text('Options of the key, such as `no-pty,from="10.0.0.1"`; they replace those before the key.'),
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
        v.description("Replaces the comment after the key."),
      ),
    ),
    path: optionalText("The file. Default `.ssh/authorized_keys` in the user's home directory."),
    manage_dir: flag("Make the file's directory, and have it belong to the user with mode 0700.", true),
    follow: flag("Follow the file when it is a link, instead of replacing it."),
    validate_certs: flag("Accepted and ignored: no URL is fetched.", true),
  }),
  v.check(({ path }) => path === undefined || path.startsWith("/"), "path must be absolute"),
);

type KeyParams = v.InferOutput<typeof params>;

interface KeyChange extends Change {
  /** To be made first, outermost first; the last is the file's own. */
  readonly directories: readonly string[];
  readonly directoryAttributes: AttributeChange | null;
  readonly file: FileChange | null;
  readonly keyfile: string;
}

/** What the authorized_key action returns. */
export interface AuthorizedKeyData {
  readonly user: string;
  readonly keyfile: string;
  readonly state: "present" | "absent";
}

function keyLines(value: string): readonly string[] {
  return value
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

function wantedKeys({ key, key_options, comment }: KeyParams): readonly AuthorizedKey[] {
  return keyLines(key)
    .map(parseAuthorizedKey)
    .filter((parsed) => parsed !== null)
    .map((parsed) => ({
      ...parsed,
      options: key_options ?? parsed.options,
      comment: comment ?? parsed.comment,
    }));
}

/** Adds and removes keys that a user may log in with. */
export const authorized_key = defineAction<typeof params, KeyChange, AuthorizedKeyData>({
  name: "authorized_key",
  doc: `Add or remove SSH keys a user may log in with.

A key is recognised by the key itself; with other options or another comment its line is replaced, one given several times with different options has a line for each, and a key given without a comment keeps the one it has. As with Ansible, \`exclusive\` removes every key not named in the same call, and \`manage_dir\` gives the directory to the user with mode 0700: set it to false for a \`path\` in a directory that several users share. The file is made the user's own with mode 0600, also when the keys are right already, because sshd ignores a file others can write to; comments in it stay.

Unlike Ansible's module, keys are not fetched from a URL.`,
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
    const account = await findAccount(system, user);
    if (account === null) return userMissing(given, context);
    const keyfile = given.path ?? posix.join(account.home, ".ssh/authorized_keys");
    await requireOwnLinks(system, keyfile);
    const found = await system.stat(keyfile);
    if (found !== null && found.type !== "file")
      throw new VolleyError("ACTION_FAILED", `${keyfile} is a ${found.type}; remove it first`);
    const current = await system.readIfExists(keyfile);
    if (current === null && state === "absent") return unchanged({ user, keyfile, state });
    const edit = { keys: wantedKeys(given), present: state === "present", exclusive };
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
    return diff.length === 0 ? unchanged({ user, keyfile, state }) : { ...directory, file, keyfile, diff };
  },

  async apply(change, { user, state }, system) {
    const { directories, directoryAttributes, file, keyfile } = change;
    for (const [index, path] of directories.entries()) {
      await system.makeDirectory(path, index === directories.length - 1 ? DIRECTORY_MODE : PARENT_MODE);
    }
    if (directoryAttributes !== null) await applyAttributes(directoryAttributes, system);
    const applied = file === null ? {} : await applyFile(file, system);
    return { ...applied, data: { user, keyfile, state } };
  },
});

function userMissing({ user, state }: KeyParams, { check }: ActionContext): KeyChange {
  const message = `there is no user "${user}"`;
  if (!check) throw new VolleyError("ACTION_FAILED", `${message}; make it first with the user action`);
  const nothing = { directories: [], directoryAttributes: null, file: null, keyfile: "" };
  return {
    ...nothing,
    unknown: `${message} yet: whether the key would be ${state === "present" ? "added" : "removed"} is not known`,
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
