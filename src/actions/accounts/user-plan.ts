import type { Diff } from "../../core/result.ts";
import type { GroupEntry, PasswdEntry, ShadowEntry } from "./accounts.ts";
import type { UserParams } from "./user-params.ts";

/** One command that makes or changes an account; what is secret is its input, never its arguments. */
export interface AccountCommand {
  readonly argv: readonly string[];
  readonly input?: string;
}

/** What an account needs. */
export interface AccountPlan {
  readonly commands: readonly AccountCommand[];
  readonly attributes: NonNullable<Diff["attributes"]>;
}

/** What is known of an account that exists. */
export interface KnownAccount {
  readonly entry: PasswdEntry;
  /** Undefined when nothing that was asked for is in it. */
  readonly shadow: ShadowEntry | undefined;
  readonly groups: readonly GroupEntry[];
}

const DAY_SECONDS = 86_400;
const HIDDEN = "(hidden)";

/** The group of a name or id given as either. */
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

/** `YYYY-MM-DD`, or nothing for never. */
function formatDay(day: number | null): string {
  return day === null || day < 0 ? "" : new Date(day * DAY_SECONDS * 1_000).toISOString().slice(0, 10);
}

function passwordCommand(name: string, hash: string): AccountCommand {
  // A hash must not be seen by who lists the processes; a mere "!" or "*" is no secret, and some chpasswd refuse it.
  return hash.includes("$") || hash.length > 2
    ? { argv: ["chpasswd", "--encrypted"], input: `${name}:${hash}\n` }
    : { argv: ["usermod", "--password", hash, name] };
}

function agingOptions(
  { password_expire_max: maximum, password_expire_min: minimum }: UserParams,
  shadow?: ShadowEntry,
): string[] {
  return [
    ...(maximum !== undefined && shadow?.maximumDays !== maximum ? ["--maxdays", String(maximum)] : []),
    ...(minimum !== undefined && shadow?.minimumDays !== minimum ? ["--mindays", String(minimum)] : []),
  ];
}

/** The commands that make an account. */
export function planCreation(params: UserParams, groups: readonly GroupEntry[]): AccountPlan {
  const { name, uid, group, comment, home, shell, password } = params;
  const sameNamed = groups.some((entry) => entry.name === name);
  const argv = [
    "useradd",
    ...(params.system ? ["--system"] : []),
    ...(uid === undefined ? [] : ["--uid", String(uid), ...(params.non_unique ? ["--non-unique"] : [])]),
    // useradd refuses to make the user's own group when there is one of that name already.
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

/** The commands that make an account what it should be; none when it is. */
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
  return `--maxdays ${shadow?.maximumDays ?? ""} --mindays ${shadow?.minimumDays ?? ""}`;
}
