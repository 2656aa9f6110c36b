import { posix } from "node:path";
import { type ActionContext, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import type { PasswdEntry } from "../../core/unix/users.ts";
import { defineAction } from "../define.ts";
import { missingDirectories, requireOwnLinks } from "../shared/paths.ts";
import { runTool } from "../shared/run-tool.ts";
import { forgetNames, type GroupEntry, readGroups, readPasswd, readShadow } from "./accounts.ts";
import {
  type AccountCommand,
  AGING,
  findGroupEntry,
  isHash,
  planCreation,
  planModification,
  type UserParams,
  userParams,
} from "./user-plan.ts";

interface UserChange extends Change {
  readonly commands: readonly AccountCommand[];
  /** The home directory of a new account, whose parents useradd would not make. */
  readonly homeOfNew: string | null;
  /** True when the home directory of an existing account must be made. */
  readonly makeHome: boolean;
  readonly key: KeyPlan | null;
  readonly isNew: boolean;
  readonly data?: UserData;
}

/** The data of a user task, under Ansible's names; for an absent account only name and state. */
interface UserData {
  readonly name: string;
  readonly state: "present" | "absent";
  /** These two are told of a new account. */
  readonly create_home?: boolean;
  readonly system?: boolean;
  /** These two are told of an existing account. */
  readonly append?: boolean;
  readonly move_home?: boolean;
  /** Of an account that was removed. */
  readonly force?: boolean;
  readonly remove?: boolean;
  /** The given supplementary groups, with commas between. */
  readonly groups?: string;
  /** `NOT_LOGGING_PASSWORD` where a password was given. */
  readonly password?: string;
  /** The output of the tools, where they had any. */
  readonly stdout?: string;
  readonly stdout_lines?: readonly string[];
  readonly stderr?: string;
  readonly stderr_lines?: readonly string[];
  readonly uid?: number;
  /** Id of the primary group. */
  readonly group?: number;
  readonly comment?: string;
  readonly home?: string;
  readonly shell?: string;
  readonly ssh_key_file?: string;
  readonly ssh_public_key?: string;
  readonly warnings?: readonly string[];
  /** As ssh-keygen prints it; only where the result is registered. */
  readonly ssh_fingerprint?: string;
}

/** Make, change and remove user accounts. */
export const user = defineAction<typeof userParams, UserChange, UserData>({
  name: "user",
  doc: `Make, change or remove a user account.

The account is read from \`/etc/passwd\`, \`/etc/group\` and, for passwords and expiry, \`/etc/shadow\`; \`useradd\`, \`usermod\` and \`userdel\` make the changes. As with Ansible, \`groups\` without \`append\` removes the user from every other supplementary group, \`system\` matters only when the account is made, and a missing home directory is made unless \`create_home\` is false.

\`password\` is a hash as \`openssl passwd -6\` makes it. Text that is no hash is set as it is, with a warning: nobody can log in with it. The hash reaches the host's tools on their standard input and appears in no diff. The passphrase of a generated key is an argument of ssh-keygen, and visible on the host while that runs.`,
  params: userParams,
  examples: [
    { name: "deploy", shell: "/bin/bash", groups: ["sudo"], append: true },
    { name: "app", system: true, create_home: false, shell: "/usr/sbin/nologin" },
    { name: "alice", uid: 2001, comment: "Alice", generate_ssh_key: true, ssh_key_type: "ed25519" },
    { name: "old", state: "absent", remove: true },
  ],
  title: ({ name }) => name,

  async inspect(params, system, context) {
    const { name, state } = params;
    const entry = (await readPasswd(system)).find((each) => each.name === name);
    if (state === "absent")
      return entry === undefined ? unchanged({ name, state }) : planRemoval(params, entry);
    const groups = await readGroups(system);
    const missing = missingGroups(params, groups);
    if (missing.length > 0 && !context.check) {
      throw new VolleyError(
        "ACTION_FAILED",
        `Group ${missing.join(", ")} does not exist; make it first with the group action`,
      );
    }
    return entry === undefined
      ? planNew(params, groups, system)
      : planExisting(params, entry, groups, system, context);
  },

  async apply(change, params, system, context) {
    const { name, state } = params;
    if (change.homeOfNew !== null) await makeParents(system, change.homeOfNew);
    const printed = { stdout: "", stderr: "" };
    for (const { argv, input } of change.commands) {
      const options = { signal: context.signal, ...(input === undefined ? {} : { input }) };
      const attempted = `${state === "absent" ? "remove" : "set up"} the user ${name}`;
      const { stdout, stderr } = await runTool(system, argv, attempted, options);
      printed.stdout += stdout;
      printed.stderr += stderr;
    }
    forgetNames(context);
    const entry = (await readPasswd(system)).find((each) => each.name === name);
    const { force, remove, create_home, system: isSystem } = params;
    const output = outputOf(printed);
    if (state === "absent" || entry === undefined) return { data: { name, state, force, remove, ...output } };
    if (change.makeHome) await makeHome(system, entry, params);
    if (change.key !== null) await makeKey(system, entry, params, change.key);
    const described = await describeUser(params, entry, system, context, change.isNew);
    const made = { create_home, system: isSystem };
    return { data: { ...described, ...(change.isNew ? made : changedBy(params)), ...output } };
  },
});

function planRemoval({ name, remove, force }: UserParams, entry: PasswdEntry): UserChange {
  const argv = ["userdel", ...(force ? ["--force"] : []), ...(remove ? ["--remove"] : []), name];
  const before = `uid ${entry.uid}\nhome ${entry.home}\nshell ${entry.shell}\n`;
  return { ...NOTHING, commands: [{ argv }], diff: { path: `user ${name}`, before, after: null } };
}

const NOTHING = { commands: [], homeOfNew: null, makeHome: false, key: null, isNew: false };

function changedBy({ append, move_home }: UserParams): Pick<UserData, "append" | "move_home"> {
  return { append, move_home };
}

function outputOf(printed: { readonly stdout: string; readonly stderr: string }): Partial<UserData> {
  const { stdout, stderr } = printed;
  const lines = (text: string): readonly string[] => text.replace(/\n$/, "").split("\n");
  return {
    ...(stdout === "" ? {} : { stdout, stdout_lines: lines(stdout) }),
    ...(stderr === "" ? {} : { stderr, stderr_lines: lines(stderr) }),
  };
}

function missingGroups({ group, groups = [] }: UserParams, known: readonly GroupEntry[]): readonly string[] {
  const wanted = group === undefined ? groups : [String(group), ...groups];
  return wanted.filter((name) => findGroupEntry(known, name) === undefined);
}

async function planNew(
  params: UserParams,
  groups: readonly GroupEntry[],
  system: ReadSystem,
): Promise<UserChange> {
  const { name, home = `/home/${name}` } = params;
  const lines = (["uid", "group", "groups", "comment", "home", "shell"] as const).flatMap((field) => {
    const value = params[field];
    return value === undefined ? [] : [`${field} ${Array.isArray(value) ? value.join(",") : value}\n`];
  });
  const file = keyFile(params, home);
  const keyExists = params.generate_ssh_key && (await system.stat(file)) !== null;
  return {
    ...NOTHING,
    isNew: true,
    commands: planCreation(params, groups).commands,
    homeOfNew: params.create_home && params.home !== undefined ? params.home : null,
    key: params.generate_ssh_key && (!keyExists || params.force) ? { file, replaces: keyExists } : null,
    diff: { path: `user ${name}`, before: null, after: lines.join("") },
  };
}

async function planExisting(
  params: UserParams,
  entry: PasswdEntry,
  groups: readonly GroupEntry[],
  system: ReadSystem,
  context: ActionContext,
): Promise<UserChange | ReturnType<typeof unchanged<UserData>>> {
  const shadow = needsShadow(params)
    ? (await readShadow(system)).find(({ name }) => name === entry.name)
    : undefined;
  const plan = planModification(params, { entry, shadow, groups });
  const home = params.home ?? entry.home;
  const lacksHome = params.create_home && !params.move_home && (await system.stat(home)) === null;
  const file = keyFile(params, home);
  if (params.generate_ssh_key) await requireOwnLinks(system, posix.dirname(file));
  const keyExists = params.generate_ssh_key && (await system.stat(file)) !== null;
  const key = params.generate_ssh_key && (!keyExists || params.force) ? { file, replaces: keyExists } : null;
  const isDone = plan.commands.length === 0 && !lacksHome && key === null;
  const described = isDone || context.check ? await describeUser(params, entry, system, context) : undefined;
  const data = described === undefined ? {} : { data: { ...described, ...changedBy(params) } };
  if (isDone && data.data !== undefined) return unchanged(data.data);
  const attributes = {
    ...plan.attributes,
    ...(lacksHome ? { "home directory": ["absent", home] as const } : {}),
    ...(key === null ? {} : { "ssh key": [key.replaces ? "old" : "absent", file] as const }),
  };
  return {
    ...NOTHING,
    ...data,
    commands: plan.commands,
    makeHome: lacksHome,
    key,
    diff: { path: `user ${entry.name}`, attributes },
  };
}

function needsShadow(params: UserParams): boolean {
  const { password, update_password, password_lock, expires } = params;
  const aging = AGING.map(([parameter]) => params[parameter]);
  return (
    (password !== undefined && update_password === "always") ||
    [password_lock, expires, ...aging].some((given) => given !== undefined)
  );
}

/** Say what a run does that is hardly meant. */
function warningsOf(
  { name, password, append, groups, local }: UserParams,
  isNew: boolean,
): readonly string[] {
  return [
    ...(local && isNew
      ? [
          `'local: true' is set, and "${name}" was not in /etc/passwd. The local user account may already exist in another file or database`,
        ]
      : []),
    ...(append && groups === undefined
      ? ["'append' is set, but no 'groups' are specified. Use 'groups' to name those to add"]
      : []),
    ...(password === undefined || isHash(password)
      ? []
      : ["The password is not a hash, as `openssl passwd -6` makes it: nobody can log in with it"]),
  ];
}

async function describeUser(
  params: UserParams,
  entry: PasswdEntry,
  system: ReadSystem,
  { registered }: ActionContext,
  isNew = false,
): Promise<UserData> {
  const { name, uid, gid, comment, home, shell } = entry;
  const warnings = warningsOf(params, isNew);
  const described = {
    ...{ name, state: "present" as const, uid, group: gid, comment, home, shell },
    ...(params.groups === undefined ? {} : { groups: params.groups.join(",") }),
    ...(params.password === undefined ? {} : { password: "NOT_LOGGING_PASSWORD" }),
    ...(warnings.length === 0 ? {} : { warnings }),
  };
  if (!params.generate_ssh_key) return described;
  const file = keyFile(params, home);
  // A link of the user's that leads elsewhere is not followed; a new key replaces the link.
  const isOwn = await requireOwnLinks(system, `${file}.pub`).then(
    () => true,
    () => false,
  );
  if (!isOwn) return { ...described, ssh_key_file: file };
  const publicKey = await system.readIfExists(`${file}.pub`);
  const asked = registered === true ? await system.query(["ssh-keygen", "-lf", `${file}.pub`]) : undefined;
  return {
    ...described,
    ...(asked?.code === 0 ? { ssh_fingerprint: asked.stdout.trim() } : {}),
    ssh_key_file: file,
    ...(publicKey === null ? {} : { ssh_public_key: publicKey.toString("utf8").trim() }),
  };
}

const DEFAULT_SKELETON = "/etc/skel";
const DEFAULT_UMASK = 0o022;
const PARENT_MODE = 0o755;

/** Make the directories above a home directory. */
async function makeParents(system: System, home: string): Promise<void> {
  for (const path of await missingDirectories(system, posix.dirname(home)))
    await system.makeDirectory(path, PARENT_MODE);
}

async function homeMode(system: ReadSystem, umask: string | undefined): Promise<number> {
  if (umask !== undefined) return 0o777 & ~Number.parseInt(umask, 8);
  const definitions = (await system.readIfExists("/etc/login.defs"))?.toString("utf8") ?? "";
  const setting = (name: string): number | undefined => {
    const digits = new RegExp(`^${name}\\s+([0-7]+)`, "m").exec(definitions)?.[1];
    return digits === undefined ? undefined : Number.parseInt(digits, 8);
  };
  return setting("HOME_MODE") ?? 0o777 & ~(setting("UMASK") ?? DEFAULT_UMASK);
}

/** Make the home directory of an existing account from the skeleton, as `useradd --create-home` does. */
async function makeHome(system: System, { home, uid, gid }: PasswdEntry, params: UserParams): Promise<void> {
  const skeleton = params.skeleton ?? DEFAULT_SKELETON;
  await makeParents(system, home);
  await system.makeDirectory(home, 0o700);
  if ((await system.stat(skeleton))?.type === "directory") {
    await runTool(system, ["cp", "-R", `${skeleton}/.`, home], `fill ${home} from ${skeleton}`);
  }
  await runTool(system, ["chown", "-R", `${uid}:${gid}`, home], `give ${home} to its user`);
  await system.chmod(home, await homeMode(system, params.umask));
}

/** A key pair to make. */
interface KeyPlan {
  readonly file: string;
  readonly replaces: boolean;
}

/** Return the path of a user's private key. */
function keyFile({ ssh_key_file: file, ssh_key_type: type }: UserParams, home: string): string {
  return posix.resolve(home, file ?? `.ssh/id_${type}`);
}

/** Make a key pair that belongs to its user. */
async function makeKey(
  system: System,
  { uid, gid }: PasswdEntry,
  params: UserParams,
  plan: KeyPlan,
): Promise<void> {
  const { file } = plan;
  const directory = posix.dirname(file);
  for (const path of await missingDirectories(system, directory)) {
    await system.makeDirectory(path, 0o700);
    await system.chown(path, uid, gid);
  }
  // In a directory of root's: ssh-keygen would follow links in the user's own.
  const temporary = await system.temporaryDirectory();
  const made = posix.join(temporary, "key");
  const host = (await system.readIfExists("/proc/sys/kernel/hostname"))?.toString("utf8").trim() ?? "";
  const argv = [
    ...["ssh-keygen", "-q", "-t", params.ssh_key_type, "-f", made, "-N", params.ssh_key_passphrase ?? ""],
    ...["-C", params.ssh_key_comment ?? `volley-generated on ${host}`],
    ...(params.ssh_key_bits === undefined ? [] : ["-b", String(params.ssh_key_bits)]),
  ];
  await runTool(system, argv, `make the key ${file}`);
  await system.writeFile(file, await system.readFile(made), { mode: 0o600, uid, gid });
  await system.writeFile(`${file}.pub`, await system.readFile(`${made}.pub`), { mode: 0o644, uid, gid });
  await system.remove(temporary);
}
