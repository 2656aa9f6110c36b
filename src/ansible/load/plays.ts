import { dirname, join, resolve } from "node:path";
import { type SourceLocation, VolleyError } from "../../core/errors.ts";
import { isRecord, writeJson } from "../../core/values/value.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { YamlNode } from "../../yaml/document.ts";
import type { Keys, Node, PlayNode, RoleUseNode } from "../ir.ts";
import { PLAY_KEYWORDS } from "../keywords.ts";
import { locationOf, placeText } from "../place.ts";
import { PROMPT_KEYS, unasked } from "../static/prompts.ts";
import { keywordFault, patternOf } from "../static/schedule-faults.ts";
import type { Collection } from "./collection.ts";
import type { KnownVars } from "./known-vars.ts";
import { type Entry, isFile, type Mapping, mappingOf, type SourceFile } from "./read.ts";
import { type Imports, normalKeys, readRoleUse, readStatements, varsOf } from "./statements.ts";

// Playbooks and their plays, as YAML writes them.

/** The loader, as the reader of plays needs it. */
export interface PlayReading {
  readonly collection: Collection;
  readonly known: KnownVars;
  source(file: string): SourceFile;
  /** Return what brings in the files and roles that a play's own tasks name. */
  readonly imports: () => Imports;
  /** Find a playbook that is named as one of a collection: `namespace.name.playbook`. */
  readonly ofCollection: (name: string) => string | undefined;
  /** Take the use of a role, which must be there. */
  readonly needed: (use: RoleUseNode) => RoleUseNode;
  /** Take a file of `vars_files`. `isCertain`: it is no one of several. */
  readonly takeVarsFile: (name: string, from: string, isCertain: boolean) => void;
}

/**
 * Read the plays of a playbook, and take what lies beside it; `vars` are those of its import. Fails with
 * `PLAYBOOK_INVALID`.
 */
export function readPlaybook(file: string, reading: PlayReading, vars: Vars = {}): readonly PlayNode[] {
  const { collection, known } = reading;
  const before = collection.playbook;
  const directory = dirname(file);
  collection.playbook = directory;
  try {
    collection.takeLibrary(join(directory, "library"));
    for (const kind of ["files", "templates"]) collection.takeDirectory(join(directory, kind));
    return known.within(vars, () => readPlays(file, reading));
  } finally {
    collection.playbook = before;
  }
}

function readPlays(file: string, reading: PlayReading): readonly PlayNode[] {
  const source = reading.source(file);
  const items = source.reader.items(source.reader.root);
  if (items === null)
    throw new VolleyError("PLAYBOOK_INVALID", "a playbook must be a list of plays", {
      location: { file: source.path },
    });
  return items.flatMap((item) => readPlay(source, item, reading));
}

function readPlay(source: SourceFile, item: YamlNode | null, reading: PlayReading): readonly PlayNode[] {
  const { reader } = source;
  const mapping = mappingOf(source, item);
  const location = reader.locate(item);
  if (mapping === undefined)
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      "playbook entries must be either valid plays or 'import_playbook' statements",
      { location },
    );
  const { entries } = mapping;
  const imported = ["import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook"]
    .map((key) => entries.get(key))
    .find((entry) => entry !== undefined);
  const value = (key: string): unknown => reader.value(entries.get(key)?.node ?? null);
  if (imported !== undefined) return importPlaybook(source, mapping, imported, reading);
  const keys: Record<string, unknown> = {};
  for (const [key, { location: at, node }] of entries) {
    if (!PLAY_KEYWORDS.has(key))
      throw new VolleyError("PLAYBOOK_INVALID", `'${key}' is not a valid attribute for a Play`, {
        location: at,
      });
    if (!/^(?:hosts|name|vars|roles|tasks|pre_tasks|post_tasks|handlers)$/.test(key))
      keys[key] = reader.value(node);
    const fault = keywordFault(key, keys[key]);
    if (fault !== undefined) throw new VolleyError("PLAYBOOK_INVALID", fault, { location: at });
  }
  if (!entries.has("hosts"))
    throw new VolleyError("PLAYBOOK_INVALID", "the field 'hosts' is required but was not set", {
      location,
    });
  const hosts = value("hosts");
  const pattern = hosts === null ? "" : patternOf(hosts);
  if (pattern === undefined || pattern === "")
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      pattern === ""
        ? "Hosts list cannot be empty. Please check your playbook"
        : `hosts is a pattern or a list of patterns, not ${writeJson(hosts)}`,
      { location: entries.get("hosts")!.location },
    );
  if (keys.user !== undefined && keys.remote_user !== undefined)
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      "both 'user' and 'remote_user' are set for this play. Set one of them",
      {
        location: entries.get("user")!.location,
      },
    );
  if (keys.user !== undefined) keys.remote_user = keys.user;
  reading.collection.collections = Array.isArray(keys.collections) ? keys.collections.map(String) : [];
  checkPrompts(keys.vars_prompt, entries.get("vars_prompt")?.location ?? location);
  const vars = varsOf(value("vars"), location);
  return [
    reading.known.within({ ...vars, ...unasked(keys) }, () =>
      readParts(source, mapping, { pattern, keys, vars }, reading),
    ),
  ];
}

function readParts(
  source: SourceFile,
  { entries, location }: Mapping,
  { pattern, keys, vars }: { readonly pattern: string; readonly keys: Keys; readonly vars: Vars },
  { collection, imports: makeImports, needed, takeVarsFile }: PlayReading,
): PlayNode {
  const { reader, path } = source;
  const value = (key: string): unknown => reader.value(entries.get(key)?.node ?? null);
  const imports = makeImports();
  const list = (key: string): readonly Node[] => {
    const written = value(key);
    if (written !== null && !Array.isArray(written))
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `A malformed block was encountered while loading ${key}: ${String(written)} should be a list or None`,
        { location: entries.get(key)!.location },
      );
    return readStatements(source, entries.get(key)?.node ?? null, imports);
  };
  const roles = entries.get("roles")?.node ?? null;
  if (value("roles") !== null && reader.items(roles) === null)
    throw new VolleyError("PLAYBOOK_INVALID", "A malformed role declaration was encountered.", {
      location: entries.get("roles")!.location,
    });
  for (const entry of [keys.vars_files].flat())
    for (const name of [entry].flat()) if (typeof name === "string") takeVarsFile(name, path, name === entry);
  const name = value("name");
  collection.needs.keys(keys, placeText(location), "play");
  collection.needs.vars(vars, placeText(location));
  return {
    at: placeText(location),
    name: name === null ? pattern : String(name),
    hosts: pattern,
    keys: normalKeys(keys, location),
    vars,
    roles:
      roles === null
        ? []
        : (reader.items(roles) ?? []).map((each) => needed(readRoleUse(source, each, imports))),
    preTasks: list("pre_tasks"),
    tasks: list("tasks"),
    postTasks: list("post_tasks"),
    handlers: checkedHandlers(list("handlers")),
    file: path,
    base: collection.pathOf(collection.playbook),
  };
}

/** Read the plays of another playbook, with the conditions, tags and vars of the import. */
function importPlaybook(
  source: SourceFile,
  { entries, location }: Mapping,
  imported: Entry,
  reading: PlayReading,
): readonly PlayNode[] {
  const { reader, path } = source;
  const value = (key: string): unknown => reader.value(entries.get(key)?.node ?? null);
  const vars = varsOf(value("vars"), location);
  const written = reader.value(imported.node);
  if (typeof written !== "string")
    throw new VolleyError("PLAYBOOK_INVALID", "import_playbook needs the name of a file", { location });
  const name = reading.known.fill(written, vars);
  if (name === undefined)
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      `the name of the playbook ${written} cannot be known before the run`,
      {
        location: imported.location,
        hint: "make it of vars of the import, and of extra vars",
      },
    );
  const word = name.split(/\s+/)[0]!;
  const file = reading.ofCollection(word) ?? resolve(reading.collection.base, dirname(path), word);
  if (!isFile(file))
    throw new VolleyError("PLAYBOOK_INVALID", `there is no playbook ${name}`, {
      location: imported.location,
      hint: `looked for ${file}`,
    });
  const when = value("when");
  const keys = normalKeys(
    Object.fromEntries(["when", "tags"].filter((key) => entries.has(key)).map((key) => [key, value(key)])),
    location,
  );
  return readPlaybook(file, reading, vars).map((play) => ({
    ...play,
    vars: { ...play.vars, ...vars },
    keys: {
      ...play.keys,
      ...(keys.tags === undefined
        ? {}
        : { tags: [...(keys.tags as string[]), ...((play.keys.tags ?? []) as string[])] }),
      ...(when === null
        ? {}
        : { when: [...((keys.when ?? []) as unknown[]), ...((play.keys.when ?? []) as unknown[])] }),
    },
  }));
}

/** Fail for entries of `vars_prompt` that name no var, or have unknown keys, as Ansible does. */
function checkPrompts(given: unknown, location: SourceLocation): void {
  if (given === undefined || given === null) return;
  for (const each of [given].flat()) {
    const keys = isRecord(each) ? Object.keys(each) : undefined;
    const unknown = keys?.find((key) => !PROMPT_KEYS.has(key));
    const problem =
      keys === undefined
        ? "vars_prompt: each entry must be a dict"
        : !keys.includes("name")
          ? "Invalid vars_prompt data structure, missing 'name' key"
          : unknown === undefined
            ? undefined
            : `vars_prompt: '${unknown}' is none of its keys`;
    if (problem !== undefined) throw new VolleyError("PLAYBOOK_INVALID", problem, { location });
  }
}

/** Fail for handlers that can be none: roles, blocks within blocks, and `meta: flush_handlers`. */
function checkedHandlers(nodes: readonly Node[], isWithin = false): readonly Node[] {
  for (const node of nodes) {
    const refuse = (text: string): never => {
      throw new VolleyError("PLAYBOOK_INVALID", text, { location: locationOf(node.at) });
    };
    if (node.kind === "role") return refuse("Using 'import_role' as a handler is not supported.");
    if (node.kind === "block") {
      const isBlock = node.imported === undefined;
      if (isBlock && isWithin) return refuse("Using a block as a handler is not supported.");
      checkedHandlers(node.block, isWithin || isBlock);
    } else if (node.module === "include_role") refuse("Using 'include_role' as a handler is not supported.");
    else if (node.module === "meta" && node.args._raw_params === "flush_handlers")
      refuse("flush_handlers cannot be used as a handler");
  }
  return nodes;
}
