import * as v from "valibot";
import type { Diff } from "../../core/result.ts";
import type { PasswdEntry } from "../../core/unix/users.ts";
import { describe, flag, nameText, oneOf, optionalText, text } from "../shared/params.ts";
import type { GroupEntry, ShadowEntry } from "./accounts.ts";

// crypt(5): `$id$…`, bsdicrypt's `_…`, the 13 characters of DES; `!` and `*` lock.
const CRYPT_HASH =
  /^!*(?:\*+|\$[^:\s$]+\$(?:[^:\s$]*\$)*[./0-9A-Za-z]*|_[./0-9A-Za-z]{19}|[./0-9A-Za-z]{13}|)$/;

/** Tell whether a password is a hash, or a mark that locks, as crypt(5) makes them. */
export function isHash(password: string): boolean {
  return CRYPT_HASH.test(password);
}

const optionalInteger = (description: string) =>
  v.optional(v.pipe(v.number(), v.integer(), v.description(description)));

/** The parameters of the user action, under Ansible's names. */
export const userParams = v.pipe(
  v.strictObject({
    name: v.optional(nameText("Login name.")),
    user: v.optional(nameText("The same as `name`.")),
    state: oneOf(["present", "absent"], "present", "Make or remove the account."),
    uid: optionalInteger("User id. Default: the next free one."),
    non_unique: flag("Allow an id that another user has."),
    group: v.optional(describe(v.union([v.string(), v.number()]), "Primary group, by name or id.")),
    groups: v.optional(
      v.pipe(
        v.union(
          [v.string(), v.array(v.union([v.string(), v.number()]))],
          "a group name or a list of them is expected",
        ),
        v.transform((value): readonly string[] =>
          (typeof value === "string" ? value.split(",") : value.map(String))
            .map((name) => name.trim())
            .filter((name) => name !== ""),
        ),
        v.description(
          "Supplementary groups, as a list or separated by commas; the user leaves all others unless `append`.",
        ),
      ),
    ),
    append: flag("Add the user to `groups` without removing it from others."),
    comment: v.optional(describe(v.string(), "Full name or description (GECOS).")),
    home: optionalText("Home directory."),
    create_home: v.optional(
      v.pipe(v.boolean(), v.description("Make the home directory when it does not exist. Default: true.")),
    ),
    createhome: v.optional(v.pipe(v.boolean(), v.description("The same as `create_home`."))),
    move_home: flag("Move the old home directory when `home` changes."),
    skeleton: optionalText("Directory to fill a new home directory from. Default: `/etc/skel`."),
    umask: optionalText("Umask for a new home directory."),
    shell: optionalText("Login shell."),
    system: flag("Make a system account; matters only for a new one."),
    password: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[^:\n]*$/, "must be one line without a colon, as a hash is"),
        v.description(
          "Hash of the password, as `openssl passwd -6` and crypt(5) make it; `!` or `*` for none. Other text is set with a warning, and lets nobody log in.",
        ),
      ),
    ),
    update_password: oneOf(
      ["always", "on_create"],
      "always",
      "`on_create` leaves the password of an existing account alone.",
    ),
    password_lock: v.optional(v.pipe(v.boolean(), v.description("Lock or unlock the password."))),
    password_expire_max: optionalInteger("Days after which the password must be changed."),
    password_expire_min: optionalInteger("Days before which the password cannot be changed."),
    password_expire_warn: optionalInteger("Days of warning before the password must be changed."),
    password_expire_account_disable: optionalInteger(
      "Days after the password's expiry until the account is disabled.",
    ),
    uid_min: optionalInteger("Lowest id of a new account without `uid`."),
    uid_max: optionalInteger("Highest id of a new account without `uid`."),
    expires: v.optional(
      v.pipe(
        v.number(),
        v.description(
          "When the account expires, in seconds since 1970; a negative number removes the expiry.",
        ),
      ),
    ),
    remove: flag('With `state: "absent"`, remove home directory and mail too.'),
    force: flag(
      'With `state: "absent"`, remove a logged-in user; with `generate_ssh_key`, replace an existing key.',
    ),
    generate_ssh_key: flag("Make an SSH key pair when none exists."),
    ssh_key_type: v.optional(text("`rsa`, `ed25519` or `ecdsa`."), "rsa"),
    ssh_key_bits: optionalInteger("Length of the key. Default: ssh-keygen's."),
    ssh_key_file: optionalText(
      "Path of the private key, relative to the home directory. Default: `.ssh/id_TYPE`.",
    ),
    ssh_key_comment: optionalText("Comment of the key. Default: `volley-generated on HOSTNAME`."),
    ssh_key_passphrase: optionalText("Passphrase of the key. Default: none."),
    seuser: optionalText("SELinux user."),
    local: flag("Accepted: only local files are ever changed. Not together with `umask`."),
    login_class: optionalText("Accepted and ignored on Linux."),
    hidden: v.optional(describe(v.boolean(), "Accepted and ignored on Linux.")),
    profile: optionalText("Accepted and ignored on Linux."),
    role: optionalText("Accepted and ignored on Linux."),
    authorization: optionalText("Accepted and ignored on Linux."),
  }),
  v.check(({ name, user }) => name !== undefined || user !== undefined, "missing required arguments: name"),
  v.check(({ local, umask }) => !local || umask === undefined, "'umask' can not be used with 'local'"),
  v.check(
    ({ name, user }) => name === undefined || user === undefined,
    "name and user are the same; give one of them",
  ),
  v.transform(({ name, user, create_home, createhome, ...rest }) => ({
    ...rest,
    name: name ?? user ?? "",
    create_home: create_home ?? createhome ?? true,
  })),
);

/** The validated parameters of the user action. */
export type UserParams = v.InferOutput<typeof userParams>;

/** A command that makes or changes an account; secrets are its input, never its arguments. */
export interface AccountCommand {
  readonly argv: readonly string[];
  readonly input?: string;
}

/** The commands that an account needs, and the attributes they change. */
interface AccountPlan {
  readonly commands: readonly AccountCommand[];
  readonly attributes: NonNullable<Diff["attributes"]>;
}

/** An existing account. */
interface KnownAccount {
  readonly entry: PasswdEntry;
  /** Undefined when no parameter needs it. */
  readonly shadow: ShadowEntry | undefined;
  readonly groups: readonly GroupEntry[];
}

const DAY_SECONDS = 86_400;
const HIDDEN = "(hidden)";

/** Find a group by name or id. */
export function findGroupEntry(
  groups: readonly GroupEntry[],
  wanted: string | number,
): GroupEntry | undefined {
  const text = String(wanted);
  return groups.find(({ name }) => name === text) ?? groups.find(({ gid }) => String(gid) === text);
}

function expiryDay(expires: number): number {
  return expires < 0 ? -1 : Math.floor(expires / DAY_SECONDS);
}

/** Format a day as `YYYY-MM-DD`; empty for never. */
function formatDay(day: number | null): string {
  return day === null || day < 0 ? "" : new Date(day * DAY_SECONDS * 1_000).toISOString().slice(0, 10);
}

function passwordCommand(name: string, hash: string): AccountCommand {
  // A list of processes must not show a hash. A mere "!" or "*" is no secret, and some versions of chpasswd refuse it.
  return hash.includes("$") || hash.length > 2
    ? { argv: ["chpasswd", "--encrypted"], input: `${name}:${hash}\n` }
    : { argv: ["usermod", "--password", hash, name] };
}

/** The parameters that chage(1) sets, with its options and the fields of shadow(5). */
export const AGING = [
  ["password_expire_max", "--maxdays", "maximumDays"],
  ["password_expire_min", "--mindays", "minimumDays"],
  ["password_expire_warn", "--warndays", "warningDays"],
  ["password_expire_account_disable", "--inactive", "inactiveDays"],
] as const;

function agingOptions(params: UserParams, shadow?: ShadowEntry): string[] {
  return AGING.flatMap(([parameter, option, field]) => {
    const days = params[parameter];
    // Without the field, no days are -1 to chage.
    return days === undefined || days === (shadow?.[field] ?? (shadow === undefined ? undefined : -1))
      ? []
      : [option, String(days)];
  });
}

/** Plan the commands that make an account. */
export function planCreation(params: UserParams, groups: readonly GroupEntry[]): AccountPlan {
  const { name, uid, group, comment, home, shell, password } = params;
  const sameNamed = groups.some((entry) => entry.name === name);
  const argv = [
    "useradd",
    ...(params.system ? ["--system"] : []),
    ...(uid === undefined ? [] : ["--uid", String(uid), ...(params.non_unique ? ["--non-unique"] : [])]),
    // useradd refuses to make the user's own group when a group of that name exists.
    ...(group === undefined ? (sameNamed ? ["--no-user-group"] : []) : ["--gid", String(group)]),
    ...(params.groups === undefined || params.groups.length === 0
      ? []
      : ["--groups", params.groups.join(",")]),
    ...(comment === undefined ? [] : ["--comment", comment]),
    ...(home === undefined ? [] : ["--home-dir", home]),
    ...(shell === undefined ? [] : ["--shell", shell]),
    ...(params.expires === undefined || params.expires < 0
      ? []
      : ["--expiredate", formatDay(expiryDay(params.expires))]),
    ...(params.create_home ? ["--create-home"] : ["--no-create-home"]),
    ...(params.create_home && params.skeleton !== undefined ? ["--skel", params.skeleton] : []),
    ...(params.create_home && params.umask !== undefined ? ["--key", `UMASK=${params.umask}`] : []),
    ...(params.seuser === undefined ? [] : ["--selinux-user", params.seuser]),
    ...(["uid_min", "uid_max"] as const).flatMap((key) =>
      params[key] === undefined ? [] : ["--key", `${key.toUpperCase()}=${params[key]}`],
    ),
    name,
  ];
  const hash = password !== undefined && params.password_lock ? `!${password.replace(/^!+/, "")}` : password;
  const aging = agingOptions(params);
  return {
    commands: [
      { argv },
      ...(hash === undefined || hash === "!" ? [] : [passwordCommand(name, hash)]),
      ...(aging.length === 0 ? [] : [{ argv: ["chage", ...aging, name] }]),
    ],
    attributes: {},
  };
}

interface Modification {
  readonly options: readonly string[];
  readonly attributes: Readonly<Record<string, readonly [string, string]>>;
}

function modifyGroups(params: UserParams, { entry, groups }: KnownAccount): Modification {
  if (params.groups === undefined) return { options: [], attributes: {} };
  const primary = params.group === undefined ? entry.gid : findGroupEntry(groups, params.group)?.gid;
  const current = groups
    .filter(({ members, gid }) => members.includes(entry.name) && gid !== primary)
    .map(({ name }) => name);
  const wanted = params.groups.flatMap((given) => {
    const found = findGroupEntry(groups, given);
    return found?.gid === primary ? [] : [found?.name ?? given];
  });
  const missing = wanted.filter((name) => !current.includes(name));
  const left = params.append ? [] : current.filter((name) => !wanted.includes(name));
  if (missing.length === 0 && left.length === 0) return { options: [], attributes: {} };
  const after = params.append ? [...current, ...missing] : wanted;
  return {
    options: params.append ? ["--append", "--groups", missing.join(",")] : ["--groups", wanted.join(",")],
    attributes: { groups: [[...current].sort().join(","), [...after].sort().join(",")] },
  };
}

function modifyFields(params: UserParams, { entry, shadow, groups }: KnownAccount): readonly Modification[] {
  const field = (
    name: string,
    before: string,
    after: string | number | undefined,
    options: readonly string[],
  ): Modification =>
    after === undefined || before === String(after)
      ? { options: [], attributes: {} }
      : { options: [...options, String(after)], attributes: { [name]: [before, String(after)] } };
  const primary = params.group === undefined ? undefined : findGroupEntry(groups, params.group);
  const beforeGroup = groups.find(({ gid }) => gid === entry.gid)?.name ?? String(entry.gid);
  const samePrimary = params.group === undefined || primary?.gid === entry.gid;
  const expires = params.expires === undefined ? undefined : formatDay(expiryDay(params.expires));
  return [
    field("uid", String(entry.uid), params.uid, [...(params.non_unique ? ["--non-unique"] : []), "--uid"]),
    field("group", beforeGroup, samePrimary ? undefined : (primary?.name ?? params.group), ["--gid"]),
    field("comment", entry.comment, params.comment, ["--comment"]),
    field("home", entry.home, params.home, [...(params.move_home ? ["--move-home"] : []), "--home"]),
    field("shell", entry.shell, params.shell, ["--shell"]),
    field("expires", formatDay(shadow?.expiresDay ?? null), expires, ["--expiredate"]),
  ];
}

/** The hash an account is to have, or undefined when it is to be left: compared without the `!` of a lock, as Ansible does. */
function newHash(
  { password, update_password, password_lock: lock }: UserParams,
  shadow?: ShadowEntry,
): string | undefined {
  const bare = (hash: string): string => hash.replace(/^!+/, "");
  if (
    password === undefined ||
    update_password !== "always" ||
    bare(shadow?.password ?? "") === bare(password)
  )
    return undefined;
  return lock ? `!${bare(password)}` : password;
}

function lockOption(lock: boolean | undefined, shadow: ShadowEntry | undefined): readonly string[] {
  const locked = shadow?.password.startsWith("!") ?? false;
  return lock === undefined || lock === locked ? [] : [lock ? "--lock" : "--unlock"];
}

/** Plan the commands that change an account as wanted; none when nothing differs. */
export function planModification(params: UserParams, known: KnownAccount): AccountPlan {
  const { name } = params;
  const modifications = [...modifyFields(params, known), modifyGroups(params, known)];
  const hash = newHash(params, known.shadow);
  const lock = hash === undefined ? lockOption(params.password_lock, known.shadow) : [];
  const options = modifications.flatMap((each) => each.options);
  const aging = agingOptions(params, known.shadow);
  return {
    commands: [
      ...(options.length === 0 ? [] : [{ argv: ["usermod", ...options, name] }]),
      ...(hash === undefined ? [] : [passwordCommand(name, hash)]),
      ...(lock.length === 0 ? [] : [{ argv: ["usermod", ...lock, name] }]),
      ...(aging.length === 0 ? [] : [{ argv: ["chage", ...aging, name] }]),
    ],
    attributes: {
      ...Object.assign({}, ...modifications.map((each) => each.attributes)),
      ...(hash === undefined ? {} : { password: [HIDDEN, HIDDEN] }),
      ...(lock.length === 0
        ? {}
        : { password_lock: [String(!params.password_lock), String(params.password_lock)] }),
      ...(aging.length === 0 ? {} : { password_aging: [agingText(known.shadow), aging.join(" ")] }),
    },
  };
}

function agingText(shadow: ShadowEntry | undefined): string {
  return AGING.map(([, option, field]) => `${option} ${shadow?.[field] ?? ""}`).join(" ");
}
