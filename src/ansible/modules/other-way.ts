import { VolleyError } from "../../core/errors.ts";
import type { OtherWay } from "../../core/program.ts";
import { BECOME_METHODS } from "../../core/unix/users.ts";
import { varScope } from "../../vars/scope.ts";
import { inherited, settled } from "../frame.ts";
import type { ModuleCall } from "./call.ts";

// Tasks that reach their host another way than the rest of the run does: on the controller, as another login user, by
// another port or address, or becoming another user by another program.

const SSH = /^(?:ansible\.builtin\.)?(?:ssh|smart|paramiko(?:_ssh)?)$/;
const LOCAL = /^(?:ansible\.builtin\.)?local$/;

/**
 * Return what keywords below the play, and vars that are not the inventory's, say of the way to the host; undefined where
 * it is that of the run. Fails with `USAGE` for a connection or a way to become that Volley lacks.
 */
export function otherWay(call: ModuleCall, become: boolean | string | undefined): OtherWay | undefined {
  const { frame, interpreter, templar } = call;
  const { job, world } = interpreter.host;
  const scope = varScope(templar.vars);
  /** The text of a var of the task's, the role's and so on; undefined for one of the inventory. */
  const own = (...names: readonly string[]): string | undefined => {
    for (const name of names) {
      const written = scope.written(name);
      const isOfHost = written === job.vars[name] || written === job.extraVars?.[name];
      if (written === undefined || written === null || isOfHost) continue;
      const text = templar.text(templar.vars[name]);
      if (text !== "") return text;
    }
    return undefined;
  };
  const keyword = (key: string): string | undefined => {
    const value = settled(frame, key, templar.value);
    return value === undefined || value === null ? undefined : templar.text(value);
  };
  const isNamed = (...names: readonly string[]): boolean => names.some((name) => name in job.vars);

  const way: { -readonly [K in keyof OtherWay]: OtherWay[K] } = {};
  const connection = own("ansible_connection") ?? "ssh";
  if (!SSH.test(connection) && !LOCAL.test(connection))
    throw new VolleyError("USAGE", `Volley connects by "ssh" or "local", not by "${connection}"`);
  // Such a host may be this machine by the command line, which a play does not change.
  const isHere = job.isLocal === true && inherited(frame, "connection") === interpreter.play.keys.connection;
  if (LOCAL.test(connection)) {
    if (job.isLocal !== true) way.connection = "local";
  } else if (!isHere) {
    if (job.isLocal === true) way.connection = "ssh";
    const user = own("ansible_user", "ansible_ssh_user");
    if (user !== undefined && user !== job.become?.login) way.user = user;
    const password = own("ansible_password", "ansible_ssh_pass", "ansible_ssh_password");
    if (password !== undefined) way.password = password;
    const key = own("ansible_private_key_file", "ansible_ssh_private_key_file");
    if (key !== undefined) way.privateKeyFile = key;
    const address = own("ansible_host", "ansible_ssh_host");
    const known: readonly unknown[] = [job.host, job.vars.ansible_host, job.vars.ansible_ssh_host];
    if (address !== undefined && !known.includes(address)) way.address = address;
    const port =
      own("ansible_port", "ansible_ssh_port") ??
      (isNamed("ansible_port", "ansible_ssh_port") ? undefined : keyword("port"));
    const ports = [job.vars.ansible_port, job.vars.ansible_ssh_port];
    ports.push(world === undefined ? interpreter.play.keys.port : world.portOf(job.host));
    if (port !== undefined && !ports.some((each) => String(each) === port)) {
      if (!/^\d+$/.test(port)) throw new VolleyError("USAGE", `"${port}" is not a port`);
      way.port = Number(port);
    }
  }
  if (become !== undefined && become !== false) {
    const said = (name: string): string | undefined =>
      own(`ansible_${name}`) ?? (isNamed(`ansible_${name}`) ? undefined : keyword(name));
    const method = said("become_method");
    const base = job.become?.way;
    const known = method === undefined ? undefined : BECOME_METHODS[method];
    if (method !== undefined && known === undefined)
      throw new VolleyError("USAGE", `Volley becomes another user by sudo, su or doas, not by "${method}"`);
    const exe = said("become_exe");
    const flags = said("become_flags");
    const becomePassword = own("ansible_become_password", "ansible_become_pass");
    // Root becomes anybody, whatever the way.
    if ((way.user ?? job.become?.login) !== "root") {
      if (known !== undefined && known !== (base?.method ?? "sudo")) way.becomeMethod = known;
      if (exe !== undefined && exe !== base?.exe) way.becomeExe = exe;
      if (flags !== undefined && flags !== (base?.flags ?? []).join(" ")) way.becomeFlags = flags;
      if (becomePassword !== undefined && becomePassword !== base?.password)
        way.becomePassword = becomePassword;
    }
  }
  return Object.keys(way).length === 0 ? undefined : way;
}
