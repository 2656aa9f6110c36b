import { VolleyError } from "../../core/errors.ts";
import { sqlName } from "./mysql-client.ts";

// Privileges of MySQL and MariaDB: as playbooks write them, as servers show them, and the difference.

/** Privileges by the object they are for, such as `*.*` or `` `shop`.* ``; each as GRANT takes it. */
export type Privileges = ReadonlyMap<string, ReadonlySet<string>>;

/** The privilege that lets a user pass on the others. */
const GRANT_OPTION = "GRANT";

/** Other names of one privilege, with the one that every server takes. */
const SAME: Readonly<Record<string, string>> = {
  "ALL PRIVILEGES": "ALL",
  "GRANT OPTION": GRANT_OPTION,
  "BINLOG MONITOR": "REPLICATION CLIENT",
  "REPLICATION REPLICA": "REPLICATION SLAVE",
};

/** Return a privilege in the form that is compared: `SELECT (a, b)` with its columns in order. */
function normalize(privilege: string, keepsCase: boolean): string {
  const [, name = "", columns] = /^\s*([^(]*?)\s*(?:\(([\s\S]*)\)\s*)?$/.exec(privilege) ?? [];
  const word = name.replace(/\s+/g, " ").toUpperCase();
  const base = SAME[word] ?? word;
  if (columns === undefined) return base;
  const list = columns.split(",").map((column) =>
    column
      .trim()
      .replace(/^`([\s\S]*)`$/, "$1")
      .replaceAll("``", "`"),
  );
  return `${base} (${list
    .map((column) => sqlName(keepsCase ? column : column.toLowerCase()))
    .sort()
    .join(", ")})`;
}

/** Split at commas that no parentheses hold. */
function splitList(text: string): readonly string[] {
  return (text.match(/(?:\([^)]*\)|[^,(])+/g) ?? []).map((item) => item.trim()).filter((item) => item !== "");
}

/** Return an object as GRANT takes it: names in backticks, and `FUNCTION` or `PROCEDURE` before those of routines. */
function normalizeObject(text: string): string {
  const [, kind = "", rest = ""] = /^\s*(?:(FUNCTION|PROCEDURE|TABLE)\s+)?([\s\S]*?)\s*$/i.exec(text) ?? [];
  const parts = rest.match(/`(?:[^`]|``)*`|[^.]+/g) ?? [];
  const named = parts.map((part) =>
    part === "*" ? part : part.startsWith("`") ? part : sqlName(part.replace(/^(["'])([\s\S]*)\1$/, "$2")),
  );
  const routine = kind === "" || /^table$/i.test(kind) ? "" : `${kind.toUpperCase()} `;
  return `${routine}${named.length === 1 ? `${named[0]}.*` : named.join(".")}`;
}

/** The wanted privileges, and whether the text asks for TLS (`REQUIRESSL`). */
export interface WantedPrivileges {
  readonly privileges: Privileges;
  readonly requiresTls: boolean;
}

/**
 * Read privileges as playbooks write them: `db.table:SELECT,INSERT/other.*:ALL`, or a dict of the same. Fails with
 * `ACTION_FAILED` for other text.
 */
export function readPrivileges(
  given: string | Readonly<Record<string, string | readonly string[]>>,
  keepsCase: boolean,
): WantedPrivileges {
  const entries =
    typeof given === "string"
      ? given
          .split("/")
          .map((part) => part.trim())
          .filter((part) => part !== "")
          .map((part): readonly [string, string] => {
            const at = part.lastIndexOf(":");
            if (at <= 0)
              throw new VolleyError(
                "ACTION_FAILED",
                `invalid privileges string: "${part}" must be written db.table:PRIVILEGES`,
              );
            return [part.slice(0, at), part.slice(at + 1)];
          })
      : Object.entries(given).map(
          ([object, value]) => [object, typeof value === "string" ? value : value.join(",")] as const,
        );
  const privileges = new Map<string, Set<string>>();
  let requiresTls = false;
  for (const [object, list] of entries) {
    const key = normalizeObject(object);
    const names = privileges.get(key) ?? new Set<string>();
    privileges.set(key, names);
    for (const privilege of splitList(list).map((item) => normalize(item, keepsCase))) {
      if (privilege === "REQUIRESSL") requiresTls = true;
      else if (privilege !== "USAGE") names.add(privilege);
    }
  }
  return { privileges, requiresTls };
}

/** Read the output of SHOW GRANTS. Grants of roles and of PROXY are left out. */
export function readGrants(lines: readonly string[], keepsCase: boolean): Privileges {
  const privileges = new Map<string, Set<string>>();
  for (const line of lines) {
    const [, list, object, rest = ""] =
      /^GRANT ((?:\([^)]*\)|[^(])+?) ON (.+?) TO (?:`(?:[^`]|``)*`|'(?:[^']|'')*')@(?:`[^`]*`|'[^']*')([\s\S]*)$/.exec(
        line,
      ) ?? [];
    if (list === undefined || object === undefined || list === "PROXY") continue;
    const key = normalizeObject(object);
    const names = privileges.get(key) ?? new Set<string>();
    privileges.set(key, names);
    for (const item of splitList(list)) {
      const privilege = normalize(item, keepsCase);
      if (privilege !== "USAGE") names.add(privilege);
    }
    if (/\bWITH GRANT OPTION\b/.test(rest)) names.add(GRANT_OPTION);
  }
  return privileges;
}

/** The way in which wanted privileges meet those there are. */
export type PrivilegeMode = "set" | "append" | "subtract";

/** The privileges to grant and to revoke. */
export interface PrivilegeChange {
  readonly grant: Privileges;
  readonly revoke: Privileges;
}

/** Compare privileges; `all` lists those that ALL stands for on `*.*`, where a server shows them one by one. */
export function comparePrivileges(
  current: Privileges,
  wanted: Privileges,
  mode: PrivilegeMode,
  all: ReadonlySet<string> = new Set(),
): PrivilegeChange {
  const grant = new Map<string, Set<string>>();
  const revoke = new Map<string, Set<string>>();
  for (const object of new Set([...current.keys(), ...wanted.keys()])) {
    const has = collapse(object, current.get(object) ?? new Set(), all);
    const wants = wanted.get(object);
    if (mode === "subtract") {
      const both = [...(wants ?? [])].filter((name) => has.has(name) || (name === "ALL" && has.size > 0));
      if (both.length > 0) revoke.set(object, new Set(both));
      continue;
    }
    if (wants === undefined) {
      if (mode === "set" && has.size > 0) revoke.set(object, new Set(has));
      continue;
    }
    const target = wants.has("ALL")
      ? new Set([...wants].filter((name) => name === "ALL" || name === GRANT_OPTION))
      : wants;
    const missing = has.has("ALL")
      ? [...target].filter((name) => name === GRANT_OPTION && !has.has(name))
      : [...target].filter((name) => !has.has(name));
    const isNarrowed = has.has("ALL") && !target.has("ALL");
    const extra = [...has].filter(
      (name) => !target.has(name) && !(target.has("ALL") && name !== GRANT_OPTION),
    );
    if (mode === "append") {
      if (missing.length > 0) grant.set(object, new Set(missing));
      continue;
    }
    const granted = isNarrowed ? [...target] : missing;
    if (extra.length > 0) revoke.set(object, new Set(extra));
    if (granted.length > 0) grant.set(object, new Set(granted));
  }
  return { grant, revoke };
}

/** Replace the whole list of a server's privileges by ALL. */
function collapse(object: string, names: ReadonlySet<string>, all: ReadonlySet<string>): ReadonlySet<string> {
  const isAll = object === "*.*" && all.size > 0 && [...all].every((name) => names.has(name));
  return isAll ? new Set(["ALL", ...(names.has(GRANT_OPTION) ? [GRANT_OPTION] : [])]) : names;
}

/** Write a change of privileges as statements; `user` is quoted. */
export function privilegeStatements({ grant, revoke }: PrivilegeChange, user: string): readonly string[] {
  const statements: string[] = [];
  for (const [object, names] of revoke) {
    const plain = [...names].filter((name) => name !== GRANT_OPTION);
    if (names.has(GRANT_OPTION)) statements.push(`REVOKE GRANT OPTION ON ${object} FROM ${user}`);
    if (plain.length > 0) statements.push(`REVOKE ${plain.join(", ")} ON ${object} FROM ${user}`);
  }
  for (const [object, names] of grant) {
    const plain = [...names].filter((name) => name !== GRANT_OPTION);
    const option = names.has(GRANT_OPTION) ? " WITH GRANT OPTION" : "";
    statements.push(
      `GRANT ${plain.length === 0 ? "USAGE" : plain.join(", ")} ON ${object} TO ${user}${option}`,
    );
  }
  return statements;
}

/** Write privileges for people, a line for each object. */
export function privilegeText(privileges: Privileges): string {
  return [...privileges]
    .filter(([, names]) => names.size > 0)
    .map(([object, names]) => `${object}: ${[...names].sort().join(", ")}\n`)
    .sort()
    .join("");
}

/** Return the privileges after a change. */
export function afterChange(current: Privileges, { grant, revoke }: PrivilegeChange): Privileges {
  const after = new Map([...current].map(([object, names]) => [object, new Set(names)]));
  for (const [object, names] of revoke) {
    const kept = after.get(object);
    for (const name of names) {
      if (name === "ALL")
        after.set(object, new Set([...(kept ?? [])].filter((each) => each === GRANT_OPTION)));
      else kept?.delete(name);
    }
  }
  for (const [object, names] of grant) {
    const kept = names.has("ALL")
      ? [...(after.get(object) ?? [])].filter((name) => name === GRANT_OPTION)
      : (after.get(object) ?? []);
    after.set(object, new Set([...kept, ...names]));
  }
  return after;
}
