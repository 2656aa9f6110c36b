import { didYouMean, VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/values/value.ts";
import {
  addChild,
  addHosts,
  type DraftGroup,
  declareGroup,
  entry,
  groupScope,
  mentionGroup,
  type ReadContext,
  setGroupVar,
} from "./draft.ts";

const INVENTORY_KEYS = ["defaults", "groups", "hosts"];
const SETTINGS_KEYS = ["port", "user", "privateKeyFile", "become", "vars"];
const HOST_KEYS = ["address", ...SETTINGS_KEYS];
const GROUP_KEYS = [...SETTINGS_KEYS, "hosts", "children"];
const TYPES: Readonly<Record<string, readonly string[]>> = {
  address: ["string"],
  port: ["number"],
  user: ["string"],
  privateKeyFile: ["string"],
  become: ["string", "boolean"],
};

function invalid(context: ReadContext, message: string): VolleyError {
  return new VolleyError("INVENTORY_INVALID", message, { location: { file: context.file } });
}

function checked(
  context: ReadContext,
  value: unknown,
  keys: readonly string[],
  what: string,
): Record<string, unknown> {
  if (!isRecord(value)) throw invalid(context, `${what} must be an object`);
  for (const [key, field] of Object.entries(value)) {
    if (!keys.includes(key))
      throw invalid(context, `${what} has an unknown key "${key}"${didYouMean(key, keys)}`);
    const types = TYPES[key];
    if (types !== undefined && field !== undefined && !types.includes(typeof field)) {
      throw invalid(
        context,
        `${key} of ${what} must be a ${types.join(" or a ")}, not ${JSON.stringify(field)}`,
      );
    }
  }
  return value;
}

/** Return Volley's own settings under Ansible's names, so that one order of precedence holds for both. */
function settings(declared: Readonly<Record<string, unknown>>): readonly (readonly [string, unknown])[] {
  const { address, port, user, privateKeyFile, become } = declared;
  const written: [string, unknown][] = [
    ["ansible_host", address],
    ["ansible_port", port],
    ["ansible_user", user],
    ["ansible_private_key_file", privateKeyFile],
    ["ansible_become", become === undefined ? undefined : become !== false],
    // `true` means root, even below a group that becomes another user.
    ["ansible_become_user", become === true ? "root" : become === false ? undefined : become],
  ];
  return written.filter(([, value]) => value !== undefined);
}

function allVars(
  context: ReadContext,
  declared: Readonly<Record<string, unknown>>,
  what: string,
): (readonly [string, unknown])[] {
  if (declared.vars === undefined) return [...settings(declared)];
  if (!isRecord(declared.vars)) throw invalid(context, `vars of ${what} must be an object`);
  return [...settings(declared), ...Object.entries(declared.vars).filter(([, value]) => value !== undefined)];
}

function readHosts(context: ReadContext, group: DraftGroup, hosts: unknown): void {
  if (hosts === undefined) return;
  const pairs: [string, unknown][] = Array.isArray(hosts)
    ? hosts.map((name) => [String(name), undefined])
    : Object.entries(checked(context, hosts, Object.keys(hosts as object), `hosts of group ${group.name}`));
  for (const [written, body] of pairs) {
    const added = addHosts(context, group, written, { file: context.file });
    const declared = checked(context, body ?? {}, HOST_KEYS, `host ${written}`);
    for (const [key, value] of allVars(context, declared, `host ${written}`)) {
      for (const { name, vars } of added) vars.set(key, entry(context, value, `host ${name}`));
    }
  }
}

function readSettings(
  context: ReadContext,
  group: DraftGroup,
  declared: Readonly<Record<string, unknown>>,
): void {
  for (const [key, value] of allVars(context, declared, groupScope(group.name))) {
    setGroupVar(group, key, entry(context, value, groupScope(group.name)));
  }
}

function readGroup(context: ReadContext, name: string, body: unknown, ancestors: readonly unknown[]): void {
  const location = { file: context.file };
  if (ancestors.includes(body)) throw invalid(context, `group ${name} holds itself`);
  const group = declareGroup(context.draft, name, location);
  const declared = checked(context, body, GROUP_KEYS, `group ${name}`);
  readSettings(context, group, declared);
  readHosts(context, group, declared.hosts);
  const { children = [] } = declared;
  if (Array.isArray(children)) {
    for (const child of children) {
      mentionGroup(context.draft, String(child), location);
      addChild(group, String(child), location);
    }
    return;
  }
  if (!isRecord(children))
    throw invalid(context, `children of group ${name} must be names or an object of groups`);
  for (const [child, childBody] of Object.entries(children)) {
    addChild(group, child, location);
    readGroup(context, child, childBody, [...ancestors, body]);
  }
}

/** Read an inventory declared in TypeScript or JavaScript into a draft. Fail with `INVENTORY_INVALID`. */
export function readTypeScriptInventory(context: ReadContext, exported: unknown): void {
  if (exported === undefined)
    throw invalid(context, "it has no default export; write `export default defineInventory({ … })`");
  const { defaults, groups, hosts } = checked(context, exported, INVENTORY_KEYS, "the inventory");
  const all = context.draft.groups.get("all")!;
  if (defaults !== undefined)
    readSettings(context, all, checked(context, defaults, SETTINGS_KEYS, "defaults"));
  if (groups !== undefined && !isRecord(groups)) throw invalid(context, "groups must be an object");
  for (const [name, body] of Object.entries(groups ?? {})) readGroup(context, name, body, []);
  readHosts(context, all, hosts);
}
