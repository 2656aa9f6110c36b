import { didYouMean } from "../core/errors.ts";
import type { YamlEntry, YamlNode, YamlReader } from "../yaml/document.ts";
import { readYaml } from "../yaml/read.ts";
import { CONSTRUCTED, readConstructed } from "./constructed.ts";
import {
  addChild,
  addHosts,
  declareGroup,
  type Entries,
  entry,
  groupScope,
  invalid,
  type ReadContext,
  setGroupVar,
} from "./draft.ts";

const BODY_KEYS = ["hosts", "children", "vars"] as const;

/** Return the entries of a mapping. As in Ansible, a lone name stands for a mapping from it to nothing. */
function mapping(
  reader: YamlReader,
  { value: node, location }: YamlEntry,
  what: string,
): readonly YamlEntry[] {
  const entries = reader.entries(node);
  if (entries !== null) return entries;
  const value = reader.value(node);
  if (value === null) return [];
  if (typeof value === "string" && what !== "vars")
    return [{ key: value, value: null, location: reader.locate(node) }];
  const kind = Array.isArray(value) ? "a list" : `the ${typeof value} ${JSON.stringify(value)}`;
  throw invalid(`${what} must be a mapping (\`name:\` on a line of its own), not ${kind}`, location);
}

function readHosts(
  context: ReadContext,
  reader: YamlReader,
  groupName: string,
  hosts: readonly YamlEntry[],
): void {
  const group = declareGroup(context.draft, groupName, { file: context.file });
  for (const host of hosts) {
    const added = addHosts(context, group, host.key, host.location);
    for (const { key, value: node, location } of mapping(reader, host, "vars")) {
      const value = reader.value(node);
      for (const { name, vars } of added) vars.set(key, entry(context, value, `host ${name}`, location.line));
    }
  }
}

function readGroup(
  context: ReadContext,
  reader: YamlReader,
  body: YamlEntry,
  ancestors: readonly string[],
): void {
  const { key: name, value: node, location } = body;
  const group = declareGroup(context.draft, name, location);
  if (ancestors.length > 100) throw invalid("groups are nested too deeply", location);
  const entries = reader.entries(node);
  if (entries === null) {
    if (reader.value(node) === null) return;
    throw invalid(`the body of group ${name} must be a mapping of hosts, children and vars`, location);
  }
  for (const section of entries) {
    switch (section.key) {
      case "hosts":
        readHosts(context, reader, name, mapping(reader, section, `hosts of group ${name}`));
        break;
      case "vars":
        for (const { key, value, location: at } of mapping(reader, section, "vars")) {
          setGroupVar(group, key, entry(context, reader.value(value), groupScope(name), at.line));
        }
        break;
      case "children":
        for (const child of mapping(reader, section, `children of group ${name}`)) {
          addChild(group, child.key, child.location);
          readGroup(context, reader, child, [...ancestors, name]);
        }
        break;
      default: {
        const hint = `A group has hosts, children and vars; its hosts stand under \`hosts:\`, its subgroups under \`children:\`.`;
        const nearby = didYouMean(section.key, BODY_KEYS);
        throw invalid(`group ${name} has an unknown key "${section.key}"${nearby}`, section.location, {
          hint,
        });
      }
    }
  }
}

/**
 * Read an inventory in Ansible's YAML format, or a file of the plugin `constructed`, into a draft; unlike Ansible, refuse unknown keys in a group. `secretFrom`
 * names the origin of a decrypted text. Fail with `INVENTORY_INVALID` and the line.
 */
export async function readYamlInventory(
  context: ReadContext,
  text: string,
  secretFrom?: string,
  extraVars?: Entries,
): Promise<void> {
  const reader = await readYaml(context.file, text, secretFrom);
  if (reader.root === null) return;
  const groups = reader.entries(reader.root);
  if (groups === null) {
    throw invalid("an inventory must be a mapping of groups, such as `all:`", reader.locate(reader.root));
  }
  const plugin = groups.find(
    ({ key, value }) => key === "plugin" && typeof scalarOf(reader, value) === "string",
  );
  if (plugin !== undefined && CONSTRUCTED.includes(String(scalarOf(reader, plugin.value))))
    return readConstructed(context, reader, groups, extraVars);
  if (plugin !== undefined) {
    throw invalid(
      `this configures the inventory plugin ${String(scalarOf(reader, plugin.value))}, which only Ansible can run`,
      plugin.location,
      { hint: "Use an executable script that prints `ansible-inventory --list` for this file." },
    );
  }
  for (const group of groups) readGroup(context, reader, group, []);
}

function scalarOf(reader: YamlReader, node: YamlNode | null): unknown {
  return reader.entries(node) === null ? reader.value(node) : undefined;
}
