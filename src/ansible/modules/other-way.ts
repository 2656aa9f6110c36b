import { VolleyError } from "../../core/errors.ts";
import type { OtherWay } from "../../core/program.ts";
import type { JobBecome } from "../../core/protocol.ts";
import { BECOME_METHODS } from "../../core/unix/users.ts";
import type { Vars } from "../../core/values/vars.ts";
import { varScope } from "../../vars/scope.ts";
import { inherited, settled } from "../frame.ts";
import { type Templar, textOr } from "../templar.ts";
import type { ModuleCall } from "./call.ts";

// Tasks that reach their host another way than the rest of the run does: on the controller, as another login user, by
// another port or address, or becoming another user by another program.

const SSH = /^(?:ansible\.builtin\.)?(?:ssh|smart|paramiko(?:_ssh)?)$/;
const LOCAL = /^(?:ansible\.builtin\.)?local$/;

/** The machine that a task goes to, and the way that is known of already. */
interface Goal {
  readonly name: string;
  /** Its vars by the inventory. */
  readonly vars: Vars;
  readonly extraVars?: Vars | undefined;
  /** True where the connection is `local`. */
  readonly isLocal: boolean;
  /** True for this machine by the command line. */
  readonly isHere: boolean;
  readonly login: string | undefined;
  readonly ports: readonly unknown[];
  readonly become?: JobBecome["way"] | undefined;
}

/**
 * Return what keywords below the play, and vars that are not the inventory's, say of the way to the host; undefined where
 * it is that of the run. Fails with `USAGE` for a connection or a way to become that Volley lacks.
 */
export function otherWay(call: ModuleCall, become: boolean | string | undefined): OtherWay | undefined {
  const { frame, interpreter, templar } = call;
  const { job, world } = interpreter.host;
  const { vars } = job;
  // A bundle that was carried to its host is there, whatever the inventory says of the way.
  const isLocal = job.isLocal === true || (world === undefined && job.session?.project === undefined);
  const goal: Goal = {
    name: job.host,
    vars,
    extraVars: job.extraVars,
    isLocal,
    // A play does not change that.
    isHere: isLocal && inherited(frame, "connection") === interpreter.play.keys.connection,
    login: job.become?.login,
    ports: [
      vars.ansible_port,
      vars.ansible_ssh_port,
      world === undefined ? interpreter.play.keys.port : world.portOf(job.host),
    ],
    become: job.become?.way,
  };
  return wayTo(goal, call, templar, become);
}

/**
 * Return what keywords, and vars that are not the inventory's, say of the way to the host that a task is delegated to.
 * `templar` has the vars of that host. Fails as {@link otherWay} does.
 */
export function wayToDelegate(
  call: ModuleCall,
  name: string,
  templar: Templar,
  become: boolean | string | undefined,
): OtherWay | undefined {
  const vars = call.interpreter.varsOf(name);
  const login = vars.ansible_user ?? vars.ansible_ssh_user;
  const isLocal = LOCAL.test(String(vars.ansible_connection ?? "ssh"));
  const goal: Goal = {
    name,
    vars,
    isLocal,
    isHere: isLocal,
    login: typeof login === "string" ? login : undefined,
    ports: [vars.ansible_port, vars.ansible_ssh_port],
  };
  return wayTo(goal, call, templar, become);
}

function wayTo(
  goal: Goal,
  { frame, interpreter }: ModuleCall,
  templar: Templar,
  become: boolean | string | undefined,
): OtherWay | undefined {
  const scope = varScope(templar.vars);
  /** The text of a var of the task's, the role's and so on; undefined for one of the inventory. */
  const own = (...names: readonly string[]): string | undefined => {
    for (const name of names) {
      const written = scope.written(name);
      const isOfHost = written === goal.vars[name] || written === goal.extraVars?.[name];
      if (written === undefined || written === null || isOfHost) continue;
      const text = textOr(templar.vars[name]);
      if (text !== "") return text;
    }
    return undefined;
  };
  const keyword = (key: string): string | undefined => {
    const value = settled(frame, key, templar.value);
    return value === undefined || value === null ? undefined : textOr(value);
  };
  const isNamed = (...names: readonly string[]): boolean => names.some((name) => name in goal.vars);

  const way: { -readonly [K in keyof OtherWay]: OtherWay[K] } = {};
  const connection = own("ansible_connection") ?? "ssh";
  // The play's own, such as docker, is that of the run.
  const isOfRun = SSH.test(connection) || connection === interpreter.play.keys.connection;
  if (!isOfRun && !LOCAL.test(connection))
    throw new VolleyError("USAGE", `Volley connects a task by "ssh" or "local", not by "${connection}"`, {
      hint: "the inventory and plays may say more: docker, podman, lxd, incus, nspawn, chroot",
    });
  if (LOCAL.test(connection)) {
    if (!goal.isLocal) way.connection = "local";
  } else if (!goal.isHere) {
    if (goal.isLocal) way.connection = "ssh";
    const user = own("ansible_user", "ansible_ssh_user");
    if (user !== undefined && user !== goal.login) way.user = user;
    const password = own("ansible_password", "ansible_ssh_pass", "ansible_ssh_password");
    if (password !== undefined) way.password = password;
    const key = own("ansible_private_key_file", "ansible_ssh_private_key_file");
    if (key !== undefined) way.privateKeyFile = key;
    const address = own("ansible_host", "ansible_ssh_host");
    const known: readonly unknown[] = [goal.name, goal.vars.ansible_host, goal.vars.ansible_ssh_host];
    if (address !== undefined && !known.includes(address)) way.address = address;
    const port =
      own("ansible_port", "ansible_ssh_port") ??
      (isNamed("ansible_port", "ansible_ssh_port") ? undefined : keyword("port"));
    if (port !== undefined && !goal.ports.some((each) => String(each) === port)) {
      if (!/^\d+$/.test(port)) throw new VolleyError("USAGE", `"${port}" is not a port`);
      way.port = Number(port);
    }
  }
  if (become !== undefined && become !== false) {
    const said = (name: string): string | undefined =>
      own(`ansible_${name}`) ?? (isNamed(`ansible_${name}`) ? undefined : keyword(name));
    const method = said("become_method");
    const base = goal.become;
    const known = method === undefined ? undefined : BECOME_METHODS[method];
    if (method !== undefined && known === undefined)
      throw new VolleyError("USAGE", `Volley becomes another user by sudo, su or doas, not by "${method}"`);
    const exe = said("become_exe");
    const flags = said("become_flags");
    const becomePassword = own("ansible_become_password", "ansible_become_pass");
    // Root becomes anybody, whatever the way.
    if ((way.user ?? goal.login) !== "root") {
      if (known !== undefined && known !== (base?.method ?? "sudo")) way.becomeMethod = known;
      if (exe !== undefined && exe !== base?.exe) way.becomeExe = exe;
      if (flags !== undefined && flags !== (base?.flags ?? []).join(" ")) way.becomeFlags = flags;
      if (becomePassword !== undefined && becomePassword !== base?.password)
        way.becomePassword = becomePassword;
    }
  }
  return Object.keys(way).length === 0 ? undefined : way;
}
